"""What memorising will cost, said before it begins."""

from __future__ import annotations

from collections.abc import Sequence

from demo import text
from demo.service import Service
from demo.uploads import Upload

# Below this many seconds nobody needs to know more.
_SHORT_SECONDS = 20.0


def cost(service: Service, uploads: Sequence[Upload]) -> str:
    """Return what memorising these files will cost, as far as their sizes tell; "" without files.

    A plain text has about as many characters as bytes; how much text is in other files shows once they are read.
    """
    if not uploads:
        return ""
    sizes = [upload.size for upload in uploads if upload.suffix == ".txt"]
    unknown = text.COST_UNKNOWN if len(sizes) < len(uploads) else ""
    if not sizes:
        return unknown
    if not service.models.is_loaded or service.models.failure is not None:
        return text.COST_LATER
    from engine.forecast import forecast

    at = forecast(service.models.get(), sum(sizes))
    tokens = text.count(at.tokens)
    if at.vectors_seconds < _SHORT_SECONDS:
        said = text.COST_SHORT.format(tokens=tokens, seconds=text.duration(at.vectors_seconds))
    else:
        # How long a model takes that writes gists cannot be told.
        clues = text.COST_CLUES.format(memory=text.duration(at.memory_seconds)) if at.memory_seconds is not None else ""
        said = text.COST.format(
            tokens=tokens,
            words=text.duration(at.words_seconds),
            clues=clues,
            vectors=text.duration(at.vectors_seconds),
            held=f"{at.memory_tokens:,}",
            disk=text.size(at.disk_bytes),
        )
    return f"{said} {unknown}".strip()
