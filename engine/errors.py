"""The one exception tree of the engine.

    MemoRAGError
    ├── InputError (also a ValueError)   an argument, a setting or a question that cannot be used
    │   ├── DocumentError                a file that cannot be read as a document
    │   │   └── PasswordError            a file that asks for a password, or for another one
    │   └── ContextLengthError           a prompt that does not fit the model's window
    ├── NotMemorizedError                a question before there is anything to ask about
    ├── ModelError                       a model that cannot be found, verified or loaded
    ├── BundleError                      a saved memory that is damaged, or made by other models
    │   └── FormatError                  a saved memory of a format that this version does not read
    ├── GeneratorError                   a generator behind an API that did not answer
    │   ├── KeyRejectedError             the API key is missing, wrong or not allowed
    │   └── RateLimitError               the service asked to wait
    └── Cancelled                        the caller asked to stop; not a failure

Every message is meant for a person: what was given, what is accepted, what to do. No message ever holds a key or a
document's text.
"""

from __future__ import annotations


class MemoRAGError(Exception):
    """Base of everything the engine raises on purpose."""


class InputError(MemoRAGError, ValueError):
    """An argument, a setting or a question that cannot be used."""


class DocumentError(InputError):
    """A file that cannot be read as a document."""


class PasswordError(DocumentError):
    """A file that is protected by a password: none was given, or a wrong one."""


class ContextLengthError(InputError):
    """A prompt that does not fit the model's context length."""


class NotMemorizedError(MemoRAGError):
    """A question was asked, or a bundle saved, before anything was memorised."""


class ModelError(MemoRAGError):
    """A model that cannot be found, verified or loaded."""


class BundleError(MemoRAGError):
    """A saved memory that is missing, damaged, or made by other models than those in use."""


class FormatError(BundleError):
    """A saved memory of a format that this version does not read."""


class GeneratorError(MemoRAGError):
    """A generator behind an API that did not answer."""


class KeyRejectedError(GeneratorError):
    """The API key is missing, wrong, or not allowed to use the model."""


class RateLimitError(GeneratorError):
    """The API asked to slow down, or the account's quota is used up."""


class Cancelled(MemoRAGError):  # noqa: N818 - stopping on request is no error
    """The caller asked to stop. What was finished before is kept by the caller."""
