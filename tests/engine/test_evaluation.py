"""The evaluation, end to end with the real models over a small text, and how it goes on after an interruption."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from engine import evaluation
from engine.errors import GeneratorError, InputError
from engine.evaluate import main
from engine.evaluation import Plan, evaluate
from engine.evidence import EVIDENCE_TOKENS
from engine.memorag_lite import MemoRAGLite
from engine.metrics import evidence_recall
from engine.prompt import fields_of, render
from engine.questions import Question, load
from engine.trial import choice_template, tokens_of, with_choices, wording_for
from engine.variants import GROUPS, VARIANTS, chosen
from tests.conftest import DATA
from tests.pipelines import Scripted, filler

ROOT = Path(__file__).parents[2]
FERRY = DATA / "ferry"
QUESTIONS = FERRY / "questions.jsonl"

pytestmark = pytest.mark.models


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """The ferry's questions, with a text so long that its evidence does not fit the budget by itself."""
    made = tmp_path_factory.mktemp("ferry")
    (made / "docs").mkdir()
    for path in (FERRY / "docs").iterdir():
        text = path.read_text("utf-8")
        longer = f"{filler(0, 14)}\n\n{text}\n\n{filler(14, 14)}" if path.stem == "ferry" else text
        (made / "docs" / path.name).write_text(longer, "utf-8")
    (made / "questions.jsonl").write_text(QUESTIONS.read_text("utf-8"), "utf-8")
    return made


@pytest.fixture(scope="module")
def dataset(folder):
    return load(str(folder / "questions.jsonl"))


@pytest.fixture(scope="module")
def pipeline(engine_models):
    return MemoRAGLite(*engine_models)


@pytest.fixture(scope="module")
def ran(pipeline, dataset, tmp_path_factory):
    """Every task, run once with the real models: the plan, the folder and the outcomes."""
    plan, out = (
        Plan(chosen(["closed", "qa", "rag", "memorag", "summarize"]), 16),
        tmp_path_factory.mktemp("ran") / "out",
    )
    return plan, out, evaluate(pipeline, dataset, plan, out)


def lines_of(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


# What is run


def test_every_variant_answers_the_questions_it_is_for(ran, dataset):
    _, out, outcomes = ran
    asked = {variant: [o.question for o in outcomes if o.variant.name == variant] for variant in VARIANTS}
    assert asked["rag"] == list(dataset.questions)
    assert [question.kind for question in asked["summarize"]] == ["summary"]
    assert all(o.result.prediction and not o.result.error for o in outcomes)
    assert len(lines_of(out / "records.jsonl")) == len(outcomes)


def test_evidence_is_recorded_with_its_tokens_and_never_more_than_the_budget(ran, encoder):
    found = [o for o in ran[2] if o.variant.finds_evidence]
    assert found
    for o in found:
        assert 0 < o.result.evidence_tokens <= EVIDENCE_TOKENS
        assert o.result.evidence_tokens == tokens_of(o.result.retrieved, encoder)
    assert max(o.result.evidence_tokens for o in found) > EVIDENCE_TOKENS // 2
    assert {o.result.retrieved for o in ran[2] if not o.variant.finds_evidence} == {None}


def test_the_right_passages_are_found(ran):
    rag = [o for o in ran[2] if o.variant.name == "rag" and o.question.evidence]
    recall = [evidence_recall(o.result.retrieved, o.question.evidence) for o in rag]
    assert sum(recall) / len(recall) > 0.5


def test_seconds_are_recorded_by_stage(ran):
    for o in ran[2]:
        seconds = o.result.seconds
        assert 0 < seconds["first_token"] <= seconds["total"], o.variant.name
        if o.variant.name == "memorag":
            assert 0 < seconds["clues"] < seconds["first_token"]


def test_a_document_is_memorised_once_and_loaded_afterwards(ran, pipeline, dataset, monkeypatch):
    plan, out, _ = ran
    bundles = [path for path in (out / "bundles").iterdir() if path.is_dir()]
    assert len(bundles) == len(dataset.documents)
    monkeypatch.setattr(type(pipeline.memorizer), "read", lambda *_, **__: pytest.fail("memorised again"))
    more = Plan(chosen(["rag"]), plan.max_new_tokens - 1)
    assert len(evaluate(pipeline, dataset.only(limit=2), more, out)) == 2


def test_evidence_alone_is_found_without_an_answer(ran, pipeline, dataset):
    generator = Scripted()
    plan = Plan(chosen(["all"]), 24, evidence_only=True)
    outcomes = evaluate(pipeline.with_generator(generator), dataset, plan, ran[1])
    assert generator.prompts == []
    assert {o.result.prediction for o in outcomes} == {None}
    assert all(o.variant.finds_evidence and o.question.evidence for o in outcomes)
    full = {(o.variant, o.question): o.result.retrieved for o in ran[2]}
    both = [o for o in outcomes if (o.variant, o.question) in full]
    assert both
    assert all(o.result.retrieved == full[o.variant, o.question] for o in both)


def test_clues_are_recalled_once_of_all_kinds(ran, dataset):
    recalled = lines_of(ran[1] / "clues.jsonl")
    assert sorted(line["question"] for line in recalled) == sorted(q.question for q in dataset.questions)
    assert {kind for line in recalled for kind, _ in line["clues"]} == {"span", "surrogate", "draft"}


def test_nothing_to_do_is_told(pipeline, dataset, tmp_path):
    with pytest.raises(InputError, match="nothing can be evaluated"):
        evaluate(pipeline, dataset, Plan(chosen(["closed"]), evidence_only=True), tmp_path)


def test_choices_are_put_to_the_generator_and_not_looked_for(pipeline, dataset, tmp_path):
    generator = Scripted("B")
    choice = dataset.only(kinds=["local"], documents=["ferry"])
    outcomes = evaluate(pipeline.with_generator(generator), choice, Plan(chosen(["closed", "rag"]), 24), tmp_path)
    closed, rag = (prompt for prompt in generator.prompts if "(A)" in prompt)
    for prompt in (closed, rag):
        assert "(B) Lucas Vane, the owner of the paper mill\n(C) Odo Brackwell {and sons}\n" in prompt
    assert "Lucas Vane" in rag.partition("(A)")[0], "the evidence stands before the choices"
    (plain,) = {o.question.question for o in outcomes if o.question.choices}
    assert plain in rag


@pytest.mark.parametrize("language", ["en", "zh-cn"])
@pytest.mark.parametrize("able", [True, False])
def test_the_template_with_choices_has_the_usual_fields(language, able, pipeline):
    from engine.prompt import prompts_for

    question = Question("d", "Which?", ("{a}",), ("{a}", "b"), 0)
    prompts, wording = prompts_for(language), wording_for(language)
    template = choice_template(question, prompts, able, wording)
    usual = prompts.qa_gen if able else prompts.qa_gen_short
    assert fields_of(template) == fields_of(usual)
    told = render(template, **dict.fromkeys(fields_of(template), "X"))
    assert told.endswith(f"(A) {{a}}\n(B) b\n{wording.choose}")
    assert with_choices(question, wording) == f"Which?\n(A) {{a}}\n(B) b\n{wording.choose}"


def test_progress_tells_what_is_left(pipeline, dataset, ran):
    seen = []
    generator = Scripted()
    evaluate(pipeline.with_generator(generator), dataset, Plan(chosen(["rag"]), 30), ran[1], seen.append)
    answering = [event for event in seen if event.stage == "answering"]
    assert [(event.done, event.total) for event in answering] == [(n, 6) for n in range(1, 7)]
    assert all(event.eta > 0 for event in answering[:-1])
    assert answering[-1].eta == 0


# Going on


class Failing(Scripted):
    """A generator that answers a few times and then no more."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def stream(self, prompt, max_new_tokens=256, temperature=0.0, *, stop=None):
        if len(self.prompts) == self.times:
            raise GeneratorError("The server did not answer.")
        yield from super().stream(prompt, max_new_tokens, temperature, stop=stop)


@pytest.fixture
def run(tiny_model, encoder, tmp_path):
    """Runs closed and rag with a scripted generator in one folder; returns the generator and the outcomes."""
    small = MemoRAGLite(tiny_model, encoder)

    def runner(generator=None, plan=None, questions=QUESTIONS):
        generator = generator or Scripted()
        plan = plan or Plan(chosen(["closed", "rag"]), 24)
        return generator, evaluate(small.with_generator(generator), load(str(questions)), plan, tmp_path / "out")

    return runner


def test_what_is_there_is_not_done_again(run, tmp_path):
    first, before = run()
    assert len(first.prompts) == len(before) == 12
    kept = (tmp_path / "out" / "records.jsonl").read_bytes()
    again, after = run()
    assert again.prompts == []
    assert after == before
    assert (tmp_path / "out" / "records.jsonl").read_bytes() == kept


def test_what_was_broken_off_goes_on(run, tmp_path):
    with pytest.raises(GeneratorError):
        run(Failing(5))
    assert len(lines_of(tmp_path / "out" / "records.jsonl")) == 5
    generator, outcomes = run()
    assert len(generator.prompts) == len(outcomes) - 5 == 7


def test_a_half_written_line_is_dropped_and_done_again(run, tmp_path):
    run()
    records = tmp_path / "out" / "records.jsonl"
    whole = records.read_bytes()
    records.write_bytes(whole[:-40])
    generator, outcomes = run()
    assert len(generator.prompts) == 1
    assert len(lines_of(records)) == len(outcomes) == 12
    assert records.read_bytes().startswith(whole[: whole[:-1].rfind(b"\n") + 1])


def test_other_settings_are_computed_anew_and_the_old_ones_are_kept(run):
    _, before = run()
    other, _ = run(plan=Plan(chosen(["closed", "rag"]), 25))
    assert len(other.prompts) == 12
    other = Scripted()
    other.name = "another"
    run(other)
    assert len(other.prompts) == 12
    same, after = run()
    assert same.prompts == []
    assert after == before


def test_another_text_is_asked_about_again_and_no_other(run, tmp_path):
    run()
    shutil.copytree(FERRY, tmp_path / "changed")
    with (tmp_path / "changed" / "docs" / "渡口.txt").open("a", encoding="utf-8") as text:
        text.write("\n如今那里有一座桥。\n")
    generator, _ = run(questions=tmp_path / "changed" / "questions.jsonl")
    assert len(generator.prompts) == 2


def test_results_of_other_code_are_done_again_unless_they_may_be_kept(run, monkeypatch):
    run()
    digest = evaluation._code_digest
    monkeypatch.setattr(evaluation, "_code_digest", lambda is_wanted: f"{digest(is_wanted)}-changed")
    kept, _ = run(plan=Plan(chosen(["closed", "rag"]), 24, any_code=True))
    assert kept.prompts == []
    again, _ = run()
    assert len(again.prompts) == 12


def test_a_folder_with_other_files_of_that_name_is_refused(run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "records.jsonl").write_text('{"key": "1"}\n', "utf-8")
    with pytest.raises(InputError, match=r"Line 1 of 'records.jsonl' is no entry of an evaluation"):
        run()


def test_a_damaged_bundle_is_made_again(run, tmp_path):
    run()
    for bundle in (tmp_path / "out" / "bundles").iterdir():
        if bundle.is_dir():
            (bundle / "index.bin").write_bytes(b"nothing")
    _, outcomes = run(plan=Plan(chosen(["rag"]), 20))
    assert len(outcomes) == 6
    assert all(o.result.retrieved for o in outcomes)


def test_a_question_too_long_for_the_generator_counts_as_wrong(run):
    _, outcomes = run(Scripted(context_length=120), Plan(chosen(["rag"]), 24))
    assert {(o.result.prediction, o.result.retrieved) for o in outcomes} == {("", ())}
    assert all("Not one passage fits" in o.result.error for o in outcomes)


# Variants


def test_variants_are_chosen_by_name_and_group():
    assert [variant.name for variant in chosen(["rag", "closed", "rag"])] == ["rag", "closed"]
    assert [variant.name for variant in chosen(["all"])] == list(VARIANTS)
    assert {name for group in GROUPS.values() for name in group} <= set(VARIANTS)
    assert not set(GROUPS) & set(VARIANTS), "a name means one thing"
    assert all(name == variant.name for name, variant in VARIANTS.items())
    for names, words in ((["nonsense"], "no variant 'nonsense'; there are closed, "), ([], "No variant is given")):
        with pytest.raises(InputError, match=words):
            chosen(names)


# The command line


@pytest.fixture(scope="module")
def told(engine_models, tmp_path_factory):
    """One run of the command as a user types it: what it printed, and its folder."""
    out = tmp_path_factory.mktemp("cli") / "new" / "out"
    command = [sys.executable, "-m", "engine.evaluate", str(QUESTIONS), "--out", str(out)]
    command += ["--variants", "closed,rag,memorag", "--max-new-tokens", "12", "--plot", str(out / "figures.png")]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr
    return ran.stdout, out


def test_the_command_prints_a_table_and_keeps_it(told):
    printed, out = told
    assert (out / "report.md").read_text("utf-8") == printed
    assert printed.startswith("# Evaluation on questions\n")
    head = next(line for line in printed.splitlines() if line.startswith("| variant"))
    cells = [cell.strip() for cell in head.split("|")[1:-1]]
    measures = ["F1", "EM", "ROUGE-L", "choice accuracy", "citation support", "seconds a question"]
    assert cells == ["variant", "evidence recall", "times rag", *measures]
    assert (out / "figures.png").read_bytes().startswith(b"\x89PNG")
    facts = json.loads((out / "report.json").read_text("utf-8"))
    assert facts["models"]["retriever"] == "sentence-transformers/all-MiniLM-L6-v2"
    assert facts["models"]["generator"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert facts["baseline"] == "rag"
    assert facts["variants"]["rag"]["overall"]["choice"]["n"] == 1
    assert facts["variants"]["rag"]["documents"]["渡口"]["evidence"]["n"] == 1
    assert len(lines_of(out / "records.jsonl")) == 18


def test_the_command_goes_on_where_it_stood(told, capsys):
    _, out = told
    kept = (out / "records.jsonl").read_bytes()
    line = [str(QUESTIONS), "--out", str(out), "--variants", "memorag,rag", "--max-new-tokens", "12"]
    assert main([*line, "--baseline", "rag", "--docs", "渡口"]) == 0
    again = capsys.readouterr()
    assert "1 questions about 1 documents" in again.out
    assert (out / "records.jsonl").read_bytes() == kept


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere.jsonl"], "'nowhere.jsonl' cannot be read"),
        ([str(QUESTIONS), "--variants", "best"], "There is no variant 'best'"),
        ([str(QUESTIONS), "--kinds", "hard"], "There is no kind 'hard'"),
        ([str(QUESTIONS), "--plot", "figures.bmp"], "'figures.bmp' is of no known kind"),
        ([str(QUESTIONS), "--generator", "nobody:model"], "Unknown source 'nobody'"),
        ([str(QUESTIONS), "--generator", "openai:gpt-4o"], "needs an API key"),
        ([str(QUESTIONS), "--generator", "openai:gpt-4o", "--key-file", "no.key"], "'no.key' cannot be read"),
        ([str(QUESTIONS), "--address", "http://localhost:1"], "belong to a generator"),
        ([str(QUESTIONS), "--threads", "many"], "give a number"),
        ([str(QUESTIONS), "--limit", "0"], "The limit is 0"),
    ],
)
def test_a_mistake_is_told_in_a_sentence_before_any_work(arguments, words, tmp_path, capsys):
    assert main([*arguments, "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert not list(tmp_path.iterdir())


def test_ctrl_c_keeps_what_was_done(engine_models, tmp_path):
    command = [sys.executable, "-m", "engine.evaluate", str(QUESTIONS), "--out", str(tmp_path / "out")]
    heeding = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    records = tmp_path / "out" / "records.jsonl"
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heeding) as process:
        for _ in range(600):
            if process.poll() is not None or (records.is_file() and records.stat().st_size):
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
    assert process.returncode == 130, told
    assert "Stopped." in told
    assert "Traceback" not in told
    assert all("key" in line for line in lines_of(records))
    assert not (tmp_path / "out" / "report.json").exists()
