"""How good evidence and answers are, for every way to find and write them, from a command line.

    python -m engine.evaluate QUESTIONS --out DIR [--variants all] [--evidence-only] [--plot FILE]

QUESTIONS is a JSONL file beside a folder ``docs`` of its texts, or longbench:FILE.jsonl, infinitebench:FILE.jsonl or
ultradomain:FILE.jsonl (see ``engine/questions.py``). Every variant (``engine/variants.py``) has the same budget of
evidence. The table is printed and written to DIR/report.md, all figures to DIR/report.json; DIR also keeps every
answer, so what was stopped goes on when it is started again, and what is there already is not done twice.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engine import plot, questions
from engine.command import add_model_flags, load_pipeline, progress_lines, run_command, settings_of
from engine.errors import InputError, MemoRAGError
from engine.variants import GROUPS, VARIANTS, chosen

if TYPE_CHECKING:
    from engine.agent import Agent
    from engine.memorag import MemoRAG
    from engine.memorag_lite import MemoRAGLite
    from engine.questions import Dataset

_KEY_BYTES = 1000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    given = _parser().parse_args(arguments)
    return run_command(lambda: _evaluate(given))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m engine.evaluate",
        description="Measure evidence and answers on questions with known answers, at equal budgets.",
        epilog="Variants: "
        + "; ".join(f"{name}: {variant.about}" for name, variant in VARIANTS.items())
        + f". Groups: {', '.join(GROUPS)}.",
    )
    parser.add_argument("questions", metavar="QUESTIONS", help="FILE.jsonl, or SOURCE:FILE.jsonl")
    parser.add_argument("--out", required=True, type=Path, metavar="DIR", help="where results are kept")
    parser.add_argument("--variants", default="all", help="names or groups, separated by commas (default all)")
    parser.add_argument("--baseline", help="the variant the others are compared with (default dense, else the first)")
    parser.add_argument("--docs", default="", help="only questions about these documents, separated by commas")
    parser.add_argument("--kinds", default="", help="only questions of these kinds, separated by commas")
    parser.add_argument("--limit", type=int, metavar="N", help="only N questions, drawn by chance")
    parser.add_argument("--seed", type=int, default=0, help="of that chance (default 0)")
    parser.add_argument("--evidence-only", action="store_true", help="find evidence, write no answers")
    parser.add_argument("--max-new-tokens", type=int, default=256, help="most tokens of an answer (default 256)")
    parser.add_argument("--full", action="store_true", help="let the memory read the text itself instead of gists")
    parser.add_argument("--any-code", action="store_true", help="keep results that another version of the engine made")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw the figures to this .png, .svg or .pdf file")
    api = parser.add_argument_group("a generator behind an API (default: the memory model)")
    api.add_argument("--generator", metavar="SOURCE:MODEL", help="such as openai:gpt-4o or compatible:NAME")
    api.add_argument("--address", help="where it is, for azure and compatible: https://...")
    api.add_argument("--key-file", type=Path, metavar="FILE", help="a file that holds the API key and nothing else")
    add_model_flags(parser)
    return parser


def _evaluate(given: argparse.Namespace) -> None:
    settings = settings_of(given)
    variants = chosen(_names(given.variants))
    if given.plot is not None:
        plot.check(given.plot)
    generator = _generator(given)
    dataset = questions.load(given.questions)
    dataset = dataset.only(_names(given.docs), _names(given.kinds), given.limit, given.seed)

    from engine import report
    from engine.evaluation import Plan, evaluate
    from engine.evidence import EVIDENCE_TOKENS

    plan = Plan(variants, given.max_new_tokens, given.evidence_only, given.any_code)
    with progress_lines() as on_progress:
        pipeline = load_pipeline("memorag" if given.full else "memorag-lite", settings, generator)
        outcomes = evaluate(pipeline, dataset, plan, given.out, on_progress)
    facts = report.facts_of(outcomes, EVIDENCE_TOKENS, given.baseline)
    facts = {**_about(given, dataset, pipeline), **facts}
    told = report.markdown(facts)
    (given.out / "report.json").write_text(json.dumps(facts, ensure_ascii=False, indent=1) + "\n", "utf-8")
    (given.out / "report.md").write_text(told, "utf-8")
    sys.stdout.write(told)
    if given.plot is not None:
        plot.draw(facts, given.plot)
    if facts["over_budget"]:
        raise MemoRAGError(
            f"More than {EVIDENCE_TOKENS} tokens of evidence were used by {', '.join(facts['over_budget'])}: what the "
            "table says of them cannot be compared."
        )


def _about(given: argparse.Namespace, dataset: Dataset, pipeline: MemoRAG | MemoRAGLite) -> dict[str, Any]:
    """Return what a report says beside its figures."""
    from engine.evaluation import hardware_of

    hardware, generator = hardware_of(pipeline), pipeline.generator
    models = {"memory": pipeline.model.name, "retriever": pipeline.encoder.name, "generator": generator.name}
    caption = (
        f"{date.today().isoformat()}; {len(dataset.questions)} questions about {len(dataset.documents)} documents; "
        + ", ".join(f"{role} {name}" for role, name in models.items())
        + f"; {hardware['device']} in {hardware['dtype']}; "
        + ("evidence only" if given.evidence_only else f"answers of at most {given.max_new_tokens} tokens")
        + ". Means with 95 % intervals."
    )
    return {
        "title": f"Evaluation on {dataset.name}",
        "caption": caption,
        "date": date.today().isoformat(),
        "dataset": dataset.name,
        "models": models,
        "hardware": hardware,
        "max_new_tokens": None if given.evidence_only else given.max_new_tokens,
        "limit": given.limit,
        "seed": given.seed,
    }


def _generator(given: argparse.Namespace) -> Agent | None:
    """Return the generator behind an API, or None for the memory model."""
    if given.generator is None:
        if given.address is not None or given.key_file is not None:
            raise InputError("--address and --key-file belong to a generator; name it with --generator SOURCE:MODEL.")
        return None
    from engine.agent import Agent

    source, _, model = given.generator.partition(":")
    api = {"azure_endpoint" if source == "azure" else "base_url": given.address} if given.address else {}
    if given.key_file is not None:
        api["api_key"] = _key(given.key_file)
    return Agent(model, source, api)


def _key(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            return file.read(_KEY_BYTES).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"The key file {path.name!r} cannot be read; give a text file with the key.") from error


def _names(given: str) -> list[str]:
    return [name.strip() for name in given.split(",") if name.strip()]


if __name__ == "__main__":
    sys.exit(main())
