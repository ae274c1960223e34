"""The search by atheris (libFuzzer): inputs that reach new code in the readers are changed again and again."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from types import ModuleType

import atheris

# What is watched for new code. Compiled extensions (lxml, zlib) are reached, but not seen into.
_WATCHED = ("engine", "pypdf", "docx", "zipfile")
_LONGEST = 2**16  # bytes of an input

with atheris.instrument_imports(include=list(_WATCHED)):
    import docx  # noqa: F401
    import pypdf  # noqa: F401

    from tests.fuzz.lookout import Lookout


def search(made_by: ModuleType, lookout: Lookout, its_seed: int) -> None:
    """Search until the look-out's time is over, which ends this process."""
    corpus = lookout.folder / "corpus"  # kept for the next process, should this one end early
    corpus.mkdir(exist_ok=True)
    for number, data in enumerate(made_by.seeds()):
        (corpus / f"seed{number}").write_bytes(data)

    # Time and memory are watched from outside, in the same way for both engines.
    flags = [f"-seed={its_seed + 1}", f"-max_len={_LONGEST}", "-timeout=100000", "-rss_limit_mb=0"]
    flags.append(f"-artifact_prefix={lookout.folder}/")
    if hasattr(made_by, "NAMES"):
        words = lookout.folder / "words"
        words.write_text("".join(f'"/{name.decode()}"\n' for name in made_by.NAMES))
        flags.append(f"-dict={words}")
    mutator = {"custom_mutator": _mutator(made_by)} if hasattr(made_by, "mutate") else {}
    atheris.Setup([sys.argv[0], *flags, str(corpus)], lambda data: lookout.look(data) and None, **mutator)
    atheris.Fuzz()


def _mutator(made_by: ModuleType) -> Callable[[bytes, int, int], bytes]:
    def mutated(data: bytes, longest: int, chance: int) -> bytes:
        changed = made_by.mutate(data, random.Random(chance))
        return changed if len(changed) <= longest else data[:longest]

    return mutated
