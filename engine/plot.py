"""The picture of an evaluation: one panel a measure, one row a variant, each mean with its interval."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import InputError

_MEASURES = {"evidence": "Evidence recall", "f1": "F1", "choice": "Choice accuracy", "citations": "Citation support"}
# Okabe and Ito's blue and orange, which colour-blind people tell apart too.
_BLUE, _ORANGE, _INK = "#0072B2", "#E69F00", "#222222"
# Inches, and pixels an inch: twice what a page of 900 pixels needs.
_WIDTH, _DPI = 9.0, 200
ENDINGS = (".png", ".svg", ".pdf")


def check(picture: Path) -> None:
    """Refuse, before any work, a picture that cannot be drawn.

    Raises:
        InputError: matplotlib is not installed, or the name's ending is none of ``ENDINGS``.
    """
    try:
        import matplotlib  # noqa: F401 - whether it is there
    except ImportError as error:
        raise InputError("A picture needs matplotlib, which is not installed: pip install matplotlib.") from error
    if picture.suffix.lower() not in ENDINGS:
        raise InputError(f"The picture {picture.name!r} is of no known kind; end its name in {', '.join(ENDINGS)}.")


def draw(facts: Mapping[str, Any], picture: Path) -> None:
    """Draw the figures of a report (report.py); the baseline is the dashed line.

    Raises:
        OSError: the picture cannot be written.
    """
    from matplotlib.figure import Figure

    variants = facts["variants"]
    used = [name for name in _MEASURES if any(row["overall"][name] is not None for row in variants.values())]
    height = 1.9 + 0.32 * len(variants)
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    panels = figure.subplots(1, max(1, len(used)), sharey=True, squeeze=False)[0]
    for axes, name in zip(panels, used, strict=False):
        base = variants[facts["baseline"]]["overall"][name]
        if base is not None:
            axes.axvline(base["value"], color=_INK, linewidth=0.9, linestyle="--", zorder=1)
        for place, (variant, row) in enumerate(variants.items()):
            if (found := row["overall"][name]) is None:
                continue
            colour = _ORANGE if variant == facts["baseline"] else _BLUE
            if found["low"] is not None:
                axes.plot([found["low"], found["high"]], [place, place], color=colour, linewidth=2, zorder=2)
            axes.plot([found["value"]], [place], "o", color=colour, markersize=6, zorder=3)
        axes.set_xlim(0, 1.08 * max([0.1, *(_end(row["overall"][name]) for row in variants.values())]))
        axes.set_title(_MEASURES[name], fontsize=11, loc="left", weight="bold")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="#E5E5E5", linewidth=0.8)
        axes.set_axisbelow(True)
    panels[0].set_yticks(range(len(variants)), list(variants))
    panels[0].set_ylim(len(variants) - 0.4, -0.6)
    figure.suptitle(f"{facts['title']}: means with 95 % intervals", x=0.01, ha="left", fontsize=12, weight="bold")
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=_DPI, facecolor="white")


def _end(interval: Mapping[str, float | None] | None) -> float:
    """Return how far right an interval is drawn."""
    return 0.0 if interval is None else interval["high"] or interval["value"] or 0.0
