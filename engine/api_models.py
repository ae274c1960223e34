"""The models that a service lists, of which one can be chosen to write answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_MOST = 200
_LONGEST = 120
# Models that answer no chat, by what their makers put into the names.
_OTHER_USE = re.compile(
    r"embed|rerank|moderation|whisper|transcribe|tts|realtime|audio|dall-e|image|sora|babbage|davinci|(^|[/-])bge-",
    re.IGNORECASE,
)


async def model_names(client: AsyncOpenAI) -> list[str]:
    """Return the names of the models that could answer, in alphabetical order; an odd list gives none.

    Raises the client's exceptions, and ValueError for malformed JSON.
    """
    # Not by the client's own method: that expects every list to be one of OpenAI's.
    listed: Any = await client.get("/models", cast_to=object)
    models = listed.get("data") if isinstance(listed, dict) else listed
    if not isinstance(models, list):
        return []
    named = [model.get("id") for model in models if isinstance(model, dict)]
    able = {name for name in named if isinstance(name, str) and _can_be_chosen(name)}
    return sorted(able, key=str.lower)[:_MOST]


def _can_be_chosen(name: str) -> bool:
    is_name = 0 < len(name) <= _LONGEST and name.isprintable() and name == name.strip()
    return is_name and not _OTHER_USE.search(name)
