"""Whether a text has nothing to say to a question, told before anything is written.

A small generator makes something up where its evidence is silent. That a question goes past the text shows for certain
only where it names somebody or something that the text never does, and no passage is near to it either. Questions
about the text as a whole ("What happens in the end?") are near to no passage, but name nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from engine.claims import unusual_names
from engine.memorized import Memorized
from engine.ranking import Hit
from engine.tongues import unrelated

# How near a passage must be for the text to have something to say, in closeness of meaning and _KNOWN times the part of
# the question's rare words that it holds. Of 152 questions about five texts none was told to be silent by both signs
# together, and of as many questions about another of the texts 82, all those that named what the text does not.
_SAID, _KNOWN = 0.55, 0.5


def is_silent(question: str, hits: Sequence[Hit], held: Memorized) -> bool:
    """Return whether the question names what the text never does, and nothing that was found is near to it."""
    names = unusual_names(question, held.language)
    frequencies = [held.lexical.frequencies(name) for name in names]
    if all(any(found.values()) for found in frequencies):
        return False
    if "vectors" in held.missing:  # a passage may be near to it that shares no word with it
        return False
    texts = (held.chunks[hit.number].of(held.documents) for hit in hits)
    known = max((held.lexical.covered(question, text) for text in texts), default=0.0)
    least = unrelated(held.dense.encoder)
    near = (float(held.dense.scores([question]).max(initial=-1.0)) - least) / (1 - least)
    return max(near, 0.0) + _KNOWN * known < _SAID
