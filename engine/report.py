"""What an evaluation found: figures with their intervals as plain JSON values, and tables made of these.

Figures are means over questions with 95 % intervals; ratios and differences compare variants on the questions that both
have, question by question, which tells small differences apart that two separate intervals cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from engine.errors import InputError
from engine.evaluation import Outcome
from engine.intervals import Interval, difference_interval, mean_interval, ratio_interval
from engine.metrics import (
    choice_of,
    citation_support,
    evidence_recall,
    exact_match,
    rouge_l,
    token_f1,
    without_citations,
)
from engine.questions import Question

# The measures and their names in tables. EM, F1 and ROUGE-L are of free answers, choice accuracy is of choices.
MEASURES: Mapping[str, str] = {
    "evidence": "evidence recall",
    "f1": "F1",
    "em": "EM",
    "rouge_l": "ROUGE-L",
    "choice": "choice accuracy",
    "citations": "citation support",
    "seconds": "seconds a question",
}
# What variants are compared with where nothing else is asked for: the first of these that was run, both plain RAG.
_USUAL_BASELINES = ("dense", "rag")
# Stands after figures below the baseline's.
_BELOW = " \u2193"
# What is noted of a variant: its largest evidence, and how many questions were left out, failed, or were cut off.
_NOTES = ("evidence_tokens", "left_out", "errors", "cut")
Facts = dict[str, Any]
Scores = Mapping[str, float]
_Rows = Mapping[Question, Scores]


def scores_of(outcome: Outcome) -> dict[str, float]:
    """Return the measures that apply to one question and what a variant gave for it; citations are no words of it."""
    question, result = outcome.question, outcome.result
    found: dict[str, float | None] = {}
    if result.retrieved is not None:
        found["evidence"] = evidence_recall(result.retrieved, question.evidence, question.any_evidence)
    if result.prediction is not None:
        said = without_citations(result.prediction)
        if question.choices:
            found["choice"] = float(choice_of(said, question.choices) == question.gold)
        else:
            found |= {"f1": token_f1(said, question.answers), "em": exact_match(said, question.answers)}
            found["rouge_l"] = rouge_l(said, question.answers)
        if result.retrieved is not None:
            found["citations"] = citation_support(result.prediction, dict(enumerate(result.retrieved, 1)))
    found["seconds"] = result.seconds.get("total")
    return {name: value for name, value in found.items() if value is not None}


def facts_of(outcomes: Iterable[Outcome], budget: int, baseline: str | None = None) -> Facts:
    """Return all figures as JSON values: intervals are {value, low, high, n}, or null where nothing is known.

    Raises:
        InputError: the baseline is no variant that was run.
    """
    rows: dict[str, dict[Question, Scores]] = {}
    notes: dict[str, Facts] = {}
    for outcome in outcomes:
        name, result = outcome.variant.name, outcome.result
        note = notes.setdefault(name, {"about": outcome.variant.about, **dict.fromkeys(_NOTES, 0)})
        row = rows.setdefault(name, {})
        if result.error and outcome.variant.task == "full":  # it is meant for texts that fit
            note["left_out"] += 1
            continue
        row[outcome.question] = scores_of(outcome)
        note["evidence_tokens"] = max(note["evidence_tokens"], result.evidence_tokens)
        note["errors"] += bool(result.error)
        note["cut"] += result.truncated
    base = _baseline(rows, baseline)
    questions = list(dict.fromkeys(question for row in rows.values() for question in row))
    groups: Mapping[str, Callable[[Question], str]] = {"kinds": lambda q: q.kind, "documents": lambda q: q.doc}
    return {
        "questions": len(questions),
        "baseline": base,
        "budget": budget,
        "over_budget": [name for name, note in notes.items() if note["evidence_tokens"] > budget],
        "groups": {group: list(dict.fromkeys(map(of, questions))) for group, of in groups.items()},
        "variants": {
            name: {
                **notes[name],
                "overall": _means(row.values()),
                "ratio": _plain(ratio_interval(*_pairs(row, rows[base], "evidence"))),
                "differences": _differences(row, rows[base]),
                **{group: _grouped_means(row, of) for group, of in groups.items()},
            }
            for name, row in rows.items()
        },
    }


def _baseline(rows: Mapping[str, _Rows], wanted: str | None) -> str:
    if wanted is not None and wanted not in rows:
        raise InputError(f"The baseline {wanted!r} was not run; run were {', '.join(rows)}.")
    with_evidence = [name for name, row in rows.items() if any("evidence" in scores for scores in row.values())]
    wished = (wanted, *_USUAL_BASELINES, *with_evidence, *rows)
    return next(name for name in wished if name is not None and name in rows)


def _means(scores: Iterable[Scores]) -> Facts:
    given = list(scores)
    return {name: _plain(mean_interval([found[name] for found in given if name in found])) for name in MEASURES}


def _grouped_means(row: _Rows, of: Callable[[Question], str]) -> Facts:
    parts: dict[str, list[Scores]] = {}
    for question, scores in row.items():
        parts.setdefault(of(question), []).append(scores)
    return {part: _means(scores) for part, scores in parts.items()}


def _pairs(row: _Rows, base: _Rows, measure: str) -> tuple[list[float], list[float]]:
    shared = [q for q in row if measure in row[q] and measure in base.get(q, {})]
    return [row[q][measure] for q in shared], [base[q][measure] for q in shared]


def _differences(row: _Rows, base: _Rows) -> Facts:
    return {name: _plain(difference_interval(*_pairs(row, base, name))) for name in MEASURES}


def _plain(interval: Interval | None) -> dict[str, float | None] | None:
    return None if interval is None else asdict(interval)


# Tables


def markdown(facts: Facts) -> str:
    """Return the report as Markdown: all figures of every variant, then by kind and by document, then differences."""
    parts = [f"# {facts['title']}", facts["caption"], _overall(facts), _remarks(facts)]
    for group, word in (("kinds", "kind"), ("documents", "document")):
        parts += [_grouped(facts, group, word, ["evidence"])]
        parts += [_grouped(facts, group, word, ["f1", "choice"])]
    parts.append(_against(facts))
    return "\n\n".join(part for part in parts if part) + "\n"


def _overall(facts: Facts) -> str:
    variants, used = facts["variants"], _measured(facts)
    heads = ["variant", *(MEASURES[name] for name in used)]
    rows = [[name, *(_cell(row["overall"][measure]) for measure in used)] for name, row in variants.items()]
    counts = ["n", *(_count([row["overall"][m] for row in variants.values()]) for m in used)]
    if "evidence" in used:
        place = heads.index(MEASURES["evidence"]) + 1
        heads.insert(place, f"times {facts['baseline']}")
        counts.insert(place, "")
        for cells, row in zip(rows, variants.values(), strict=True):
            cells.insert(place, _cell(row["ratio"]))
    return table([heads, *rows, counts])


def _remarks(facts: Facts) -> str:
    lines = [f"- {name}: {row['about']}" for name, row in facts["variants"].items()]
    most = max(row["evidence_tokens"] for row in facts["variants"].values())
    lines.append(
        f"- Evidence: at most {facts['budget']:,} tokens of the retriever; the most that was used is {most:,}."
    )
    for name, row in facts["variants"].items():
        if row["left_out"]:
            lines.append(f"- {name}: {row['left_out']} questions are left out, for their text does not fit the window.")
        if row["errors"]:
            lines.append(f"- {name}: {row['errors']} questions could not be asked, and count as wrong.")
        if row["cut"]:
            lines.append(f"- {name}: {row['cut']} answers were cut off by the limit of their length.")
    return "\n".join(lines)


def _grouped(facts: Facts, group: str, word: str, measures: Sequence[str]) -> str:
    """Return a table of means by group, a row for every variant; an arrow marks those below the baseline's."""
    used = [name for name in measures if name in _measured(facts)]
    parts = facts["groups"][group]
    if not used:
        return ""
    means = {
        name: {part: [row[group].get(part, {}).get(measure) for measure in used] for part in parts}
        for name, row in facts["variants"].items()
        if name == facts["baseline"] or any(row["overall"][measure] is not None for measure in used)
    }
    base = means[facts["baseline"]]
    rows = [[name, *(" / ".join(map(_mean, row[part], base[part])) for part in parts)] for name, row in means.items()]
    counts = [
        " / ".join(_count(column) for column in zip(*(row[part] for row in means.values()), strict=True))
        for part in parts
    ]
    shown = table([["variant", *parts], *rows, ["n", *counts]])
    title = " / ".join(MEASURES[name] for name in used)
    below = f"{_BELOW.strip()} marks what is below {facts['baseline']}."
    return f"## {title[0].upper()}{title[1:]} by {word}\n\n{shown}\n\n{below}"


def _against(facts: Facts) -> str:
    used = [name for name in _measured(facts) if name != "seconds"]
    rows = [
        [name, *(_cell(row["differences"][measure], signed=True) for measure in used)]
        for name, row in facts["variants"].items()
        if name != facts["baseline"]
    ]
    if not rows or not used:
        return ""
    shown = table([["variant", *(MEASURES[name] for name in used)], *rows])
    return (
        f"## Differences from {facts['baseline']}, question by question\n\n{shown}\n\n* marks intervals without zero."
    )


def _measured(facts: Facts) -> list[str]:
    rows = facts["variants"].values()
    return [name for name in MEASURES if any(row["overall"][name] is not None for row in rows)]


def _count(column: Iterable[Facts | None]) -> str:
    """Return how many questions a column has; two numbers where variants differ in that."""
    counts = sorted({interval["n"] for interval in column if interval is not None})
    return " to ".join(map(str, dict.fromkeys((counts[0], counts[-1])))) if counts else "0"


def _cell(interval: Facts | None, signed: bool = False) -> str:
    if interval is None:
        return "-"
    form = "+.3f" if signed else ".3f"
    value = format(interval["value"], form)
    if (low := interval["low"]) is None:
        return value
    clear = signed and (low > 0 or interval["high"] < 0)
    return f"{value} [{low:{form}}, {interval['high']:{form}}]{' *' if clear else ''}"


def _mean(interval: Facts | None, base: Facts | None) -> str:
    if interval is None:
        return "-"
    below = base is not None and interval["value"] < base["value"] - 1e-12
    return f"{interval['value']:.3f}{_BELOW if below else ''}"


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as a Markdown table whose first row is its head; columns are aligned for reading as text."""
    tame = [[cell.replace("|", "\\|") for cell in row] for row in rows]
    widths = [max(3, *(len(row[column]) for row in tame)) for column in range(len(tame[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in tame
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
