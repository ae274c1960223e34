"""The MemoRAG engine: read a corpus once into a memory, recall clues from it, answer from evidence.

The public names are imported on first use: importing this package loads neither torch nor faiss nor openai.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.agent import Agent
    from engine.documents import Document, read_document
    from engine.events import Turn
    from engine.memorag import MemoRAG
    from engine.memorag_lite import MemoRAGLite
    from engine.memory import Memory
    from engine.model import Model
    from engine.retrieval import DenseRetriever, FaissIndex

_HOMES = {
    "Agent": "engine.agent",
    "DenseRetriever": "engine.retrieval",
    "Document": "engine.documents",
    "FaissIndex": "engine.retrieval",
    "MemoRAG": "engine.memorag",
    "MemoRAGLite": "engine.memorag_lite",
    "Memory": "engine.memory",
    "Model": "engine.model",
    "Turn": "engine.events",
    "read_document": "engine.documents",
}

__all__ = [
    "Agent",
    "DenseRetriever",
    "Document",
    "FaissIndex",
    "MemoRAG",
    "MemoRAGLite",
    "Memory",
    "Model",
    "Turn",
    "read_document",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - any public name
    if name not in _HOMES:
        raise AttributeError(f"module 'engine' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return list(__all__)
