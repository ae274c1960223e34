"""Gradio without the type stubs that it writes beside its sources, and beside ours, whenever it is imported.

Gradio 6.31 parses the source of every component and renders a stub for it, to compare it with the one that is there:
half of the time that importing it takes. Nothing reads them while a program runs, two programs that start at once write
the same files, and an installed package is no place to write to.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

_MODULE, _WRITER = "gradio.component_meta", "create_or_modify_pyi"


class _Quiet(Loader):
    """Loads the module as it is, and then puts the function that writes stubs out of work."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        if hasattr(module, _WRITER):  # else this version writes none
            setattr(module, _WRITER, lambda *_: None)


class _Finder(MetaPathFinder):
    """Finds that one module and leaves all others to those who come after it."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _MODULE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Quiet(spec.loader)
        return spec


def write_no_stubs() -> None:
    """Let Gradio write no stubs; to be called before it is imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())
