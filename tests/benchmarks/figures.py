"""The figures of the benchmarks, drawn from the JSON they write, so that a figure can be drawn again without measuring.

    python -m tests.benchmarks.figures JSON_FILE PICTURE        (.png or .svg)

Made for a page of 900 pixels. Colours are Okabe and Ito's, which colour-blind people tell apart too; lines also differ
in their marks.
"""

from __future__ import annotations

import argparse
import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator

BLUE, ORANGE, GREEN, PURPLE, INK = "#0072B2", "#E69F00", "#009E73", "#CC79A7", "#222222"
# Inches of a figure's width, and pixels an inch: twice what 900 pixels need, for sharp screens.
_WIDTH, _DPI = 9.0, 200
# The left end of the axis of ratios.
_LEAST = 0.5
# How a wanted ratio is drawn, and one beyond that.
_MARKS = {"target": "-", "stretch": ":"}
_MB = 2**20

Facts = Mapping[str, Any]
# A line's name among the measures, its label, colour and mark.
Line = tuple[str, str, str, str]


def draw(facts: Facts, picture: Path) -> None:
    """Draw the figure of a benchmark's facts; the picture's name says of which kind it is."""
    figure = {"compare": ratios, "scaling": scaling, "concurrent": concurrent}[facts["benchmark"]](facts)
    picture.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(picture, dpi=_DPI, facecolor="white")


def ratios(facts: Facts) -> Figure:
    """How many times better than the published algorithm, one bar a measure and kind of gists, with what is wanted."""
    rows = facts["ratios"]
    runs = f"{facts['tokens']:,} tokens, medians of {facts['runs']}"
    figure = _sheet(facts, f"Against the published algorithm ({runs})", 2.0 + 0.36 * len(rows))
    axes = figure.subplots()
    colours = {"extractive": BLUE, "abstractive": ORANGE}
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        places.setdefault(row["measure"], []).append(place)
        axes.barh(place, row["ratio"] - _LEAST, 0.7, left=_LEAST, color=colours[row["gists"]], zorder=2)
        weight = "bold" if row["ratio"] >= row["target"] else "normal"
        axes.text(1.01, place, f"{row['ratio']:.1f}x", weight=weight, va="center", transform=axes.get_yaxis_transform())
        for mark, style in _MARKS.items():
            if row[mark] is not None:
                axes.plot([row[mark]] * 2, [place - 0.45, place + 0.45], style, color=INK, linewidth=2, zorder=3)
    _lettered(axes, "", "times better than the published algorithm (logarithmic axis; bold: target met)", "")
    axes.set_yticks([sum(some) / len(some) for some in places.values()], list(places))
    axes.set_ylim(len(rows) - 0.4, -0.6)
    _times(axes, 1.1 * max(value for row in rows for value in (row["ratio"], row["target"], row["stretch"] or 0)))
    used = [kind for kind in colours if any(row["gists"] == kind for row in rows)]
    shown = [Patch(color=colours[kind], label=f"{kind} gists") for kind in used]
    shown += [Line2D([], [], color=INK, linewidth=2, linestyle=style, label=mark) for mark, style in _MARKS.items()]
    figure.legend(handles=shown, loc="outside lower center", ncols=4, frameon=False)
    return figure


def _times(axes: Axes, most: float) -> None:
    """Make the lower axis one of ratios, up to ``most``."""
    axes.set_xscale("log")
    axes.set_xlim(_LEAST, most)
    axes.set_xticks([tick for tick in (0.5, 1, 2, 4, 8, 15, 30, 60, 120, 240, 480) if tick < most])
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.axvline(1, color=INK, linewidth=0.8, zorder=1)


def scaling(facts: Facts) -> Figure:
    """What grows with the length of the corpus, and what does not."""
    figure = _sheet(facts, f"Growth with the length of the corpus (medians of {facts['runs']})", 7.6)
    panels: dict[tuple[str, str], list[Line]] = {
        ("Memorise", "seconds, and tokens a second"): [("memorise", "", BLUE, "o")],
        ("Question", "seconds"): [
            ("first_token", "to the first token", BLUE, "o"),
            ("total", "to the complete answer", ORANGE, "s"),
        ],
        ("Load a bundle, to the first clue token", "seconds"): [("first_clue", "", BLUE, "o")],
        ("Memory", "MB"): [
            ("peak_asked", "peak of memorising and asking", BLUE, "o"),
            ("peak_loaded", "peak before, models warm", ORANGE, "s"),
            ("memory_mb", "the memory itself", GREEN, "^"),
        ],
    }
    sides = {name: [row for row in facts["rows"] if row["side"] == name] for name in ("ours", "published")}
    lengths = [row["tokens"] for row in sides["ours"]]
    for axes, ((title, unit), lines) in zip(figure.subplots(2, 2).flat, panels.items(), strict=True):
        for name, label, colour, mark in lines:
            _line(axes, [(row["tokens"], row[name]) for row in sides["ours"]], label, colour, mark)
            _line(axes, [(row["tokens"], row[name]) for row in sides["published"]], "", colour, mark, "--")
        _lettered(axes, title, "tokens of the corpus", unit)
        axes.set_xscale("log")
        axes.set_xticks(lengths, [f"{tokens / 1000:g}K" for tokens in lengths])
        axes.xaxis.set_minor_locator(NullLocator())
        if title == "Memorise":
            _speeds(axes, sides["ours"])
        else:
            _from_zero(axes)
    if sides["published"]:
        styles = {"ours": "-", "published": "--"}.items()
        shown = [Line2D([], [], color=INK, linestyle=style, label=name) for name, style in styles]
        figure.legend(handles=shown, loc="outside lower center", ncols=2, frameon=False)
    return figure


def _speeds(axes: Axes, rows: Sequence[Facts]) -> None:
    """Write at every point how long it took, and how many tokens a second that is."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.17, y=0.2)
    for row in rows:
        text = f"{row['memorise']:.3g} s\n{row['tokens_per_second']:,.0f}/s"
        place = (row["tokens"], row["memorise"])
        axes.annotate(text, place, (4, -5), textcoords="offset points", va="top", fontsize=9)


def concurrent(facts: Facts) -> Figure:
    """What more questions at a time cost: seconds above, and below the memory that the process holds."""
    about = f"{facts['tokens']:,} tokens, medians of {facts['runs']}"
    figure = _sheet(facts, f"Questions asked at once ({about})", 7.2)
    axes = figure.subplot_mosaic([["seconds", "answers"], ["memory", "memory"]])
    rows = facts["rows"]
    counts = [row["questions"] for row in rows]
    lines: dict[str, list[Line]] = {
        "seconds": [
            ("first_median", "first token, median", BLUE, "o"),
            ("first_worst", "first token, last of all", ORANGE, "s"),
            ("all_answered", "all answered", GREEN, "^"),
        ],
        "answers": [("answers_per_minute", "", PURPLE, "o")],
    }
    for panel, unit in (("seconds", "seconds"), ("answers", "answers a minute")):
        for name, label, colour, mark in lines[panel]:
            _line(axes[panel], [(row["questions"], row[name]) for row in rows], label, colour, mark)
        _lettered(axes[panel], {"seconds": "Waiting", "answers": "Throughput"}[panel], "questions at once", unit)
        axes[panel].set_xticks(counts)
        _from_zero(axes[panel])
    _added(axes["memory"], rows, facts["memory_bytes"])
    return figure


def _added(axes: Axes, rows: Sequence[Facts], memory: int) -> None:
    """Draw what the process holds beside the models, and what it would hold if every question copied the memory."""
    models = max(row["rss_before"] for row in rows) - memory
    title = f"Most memory at a time, beside {models / _MB:,.0f} MB of models and libraries"
    end = [0.0] * len(rows)
    parts = {
        ("one memory", GREEN): [memory for _ in rows],
        ("tails", ORANGE): [row["tails"] for row in rows],
        ("other working space", BLUE): [max(0, row["rss_above"] - row["tails"]) for row in rows],
    }
    for (label, colour), sizes in parts.items():
        axes.barh(range(len(rows)), [size / _MB for size in sizes], 0.6, left=end, color=colour, label=label, zorder=2)
        end = [whole + size / _MB for whole, size in zip(end, sizes, strict=True)]
    copied = [whole + row["questions"] * memory / _MB for whole, row in zip(end, rows, strict=True)]
    axes.barh(
        range(len(rows)),
        copied,
        0.6,
        fill=False,
        edgecolor=INK,
        linestyle=":",
        label="if each question copied the memory",
    )
    for place, whole in enumerate(end):
        axes.annotate(f"{whole:,.0f}", (whole, place), (4, 0), textcoords="offset points", va="center")
    _lettered(axes, title, "MB", "questions at once")
    axes.set_yticks(range(len(rows)), [str(row["questions"]) for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.invert_yaxis()
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=4, frameon=False)


def _sheet(facts: Facts, title: str, height: float) -> Figure:
    """An empty figure, so many inches high, with its title and under it the machine."""
    figure = Figure(figsize=(_WIDTH, height), layout="constrained")
    machine = textwrap.wrap(facts["caption"], 110)
    head = 0.42 + 0.18 * len(machine)
    figure.get_layout_engine().set(w_pad=0.1, h_pad=0.1, rect=(0, 0, 1, 1 - head / height))
    figure.text(0.015, 1 - 0.12 / height, title, fontsize=13, weight="bold", va="top")
    figure.text(0.015, 1 - 0.4 / height, "\n".join(machine), va="top")
    return figure


def _from_zero(axes: Axes) -> None:
    """Let an axis begin at zero, with room above its lines for their names."""
    named = len(axes.get_legend_handles_labels()[0])
    most = max(max(line.get_ydata(), default=0) for line in axes.lines)
    axes.set_ylim(0, most * (1.15 + 0.1 * named))


def _line(
    axes: Axes, points: Sequence[tuple[float, float]], label: str, colour: str, mark: str, style: str = "-"
) -> None:
    x, y = [place for place, _ in points], [value for _, value in points]
    axes.plot(x, y, style, marker=mark, color=colour, label=label or None, linewidth=2, markersize=6)


def _lettered(axes: Axes, title: str, below: str, beside: str) -> None:
    """Write what a panel shows; name its lines where there are several."""
    axes.set_title(title, fontsize=11, loc="left", weight="bold")
    axes.set_xlabel(below)
    axes.set_ylabel(beside)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E5E5E5", linewidth=0.8)
    if axes.lines and axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, loc="upper left")


def main() -> None:
    parser = argparse.ArgumentParser(description="Draw the figure of a benchmark's JSON file.")
    parser.add_argument("json", type=Path)
    parser.add_argument("picture", type=Path)
    given = parser.parse_args()
    draw(json.loads(given.json.read_text("utf-8")), given.picture)


if __name__ == "__main__":
    main()
