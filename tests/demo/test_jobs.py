"""Jobs with real threads."""

import logging
import threading
import time

import pytest

from demo.jobs import Jobs, Plan
from engine.errors import Cancelled, DocumentError, KeyRejectedError, MemoRAGError
from engine.events import Progress


@pytest.fixture
def jobs():
    return Jobs()


@pytest.fixture
def gate():
    """Opened at the end, so that no thread stays behind."""
    opened = threading.Event()
    yield opened
    opened.set()


def through(gate):
    """Work that ends when the gate opens, or when it is stopped."""

    def work(on_progress, stop, on_ready):
        while not gate.wait(0.01):
            stop.check()

    return work


def failing(error):
    def work(on_progress, stop, on_ready):
        raise error

    return work


def state(job):
    return job.snapshot().state


def test_one_job_runs_at_a_time_and_all_get_their_turn(jobs):
    lock, now, most, order = threading.Lock(), [0], [0], []

    def work_for(number):
        def work(on_progress, stop, on_ready):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.02)
            with lock:
                now[0] -= 1
                order.append(number)

        return work

    started = [jobs.start(f"job {number}", Plan(work_for(number))) for number in range(6)]
    assert all(job.wait(10) for job in started)
    assert most == [1]
    assert sorted(order) == list(range(6))
    assert {state(job) for job in started} == {"done"}


def test_the_same_work_is_joined_while_it_runs_and_started_again_afterwards(jobs, gate, until):
    runs = []

    def work(on_progress, stop, on_ready):
        runs.append(1)
        through(gate)(on_progress, stop, on_ready)

    first = jobs.start("open:a", Plan(work))
    until(lambda: runs)
    assert jobs.start("open:a", Plan(work)) is first
    gate.set()
    assert first.wait(5)
    again = jobs.start("open:a", Plan(work))
    assert again is not first
    assert again.wait(5)
    assert len(runs) == 2


def test_a_job_that_waits_for_its_turn_is_joined_too(jobs, gate):
    jobs.start("first", Plan(through(gate)))
    waiting = jobs.start("second", Plan(through(gate)))
    assert jobs.start("second", Plan(through(gate))) is waiting


def test_a_second_job_waits_its_turn_and_then_runs(jobs, gate, until):
    first = jobs.start("first", Plan(through(gate)))
    until(lambda: state(first) == "running")
    second = jobs.start("second", Plan(lambda *_: None))
    assert not second.wait(0.1)
    assert state(second) == "waiting"
    assert not second.snapshot().is_over
    gate.set()
    assert second.wait(5)
    assert state(second) == "done"


def test_a_waiting_job_can_be_stopped_and_never_runs(jobs, gate, until):
    ran = []
    first = jobs.start("first", Plan(through(gate)))
    until(lambda: state(first) == "running")
    second = jobs.start("second", Plan(lambda *_: ran.append(1)))
    second.stop()
    assert second.wait(2)
    assert state(second) == "stopped"
    assert state(first) == "running"
    gate.set()
    assert first.wait(5)
    assert not ran


def test_stopping_ends_a_running_job_without_an_error_and_frees_the_turn(jobs, gate, until):
    job = jobs.start("a", Plan(through(gate)))
    until(lambda: state(job) == "running")
    job.stop()
    assert job.wait(2)
    at = job.snapshot()
    assert (at.state, at.error, at.is_over) == ("stopped", None, True)
    assert jobs.start("b", Plan(lambda *_: None)).wait(2)


def test_work_that_ends_itself_as_cancelled_counts_as_stopped(jobs, caplog):
    job = jobs.start("a", Plan(failing(Cancelled("Stopped on request."))))
    assert job.wait(5)
    assert (state(job), job.snapshot().error) == ("stopped", None)
    assert not caplog.records


@pytest.mark.parametrize("kind", [MemoRAGError, DocumentError, KeyRejectedError])
def test_an_expected_error_fails_the_job_with_that_error_and_no_traceback(jobs, caplog, kind):
    error = kind("The file is empty.")
    job = jobs.start("a", Plan(failing(error)))
    assert job.wait(5)
    at = job.snapshot()
    assert (at.state, at.error, at.is_over) == ("failed", error, True)
    assert not caplog.records


def test_an_unexpected_error_fails_the_job_and_leaves_its_traceback_in_the_log(jobs, caplog):
    error = ZeroDivisionError("a slip")
    with caplog.at_level(logging.ERROR):
        job = jobs.start("a", Plan(failing(error)))
        assert job.wait(5)
    assert (state(job), job.snapshot().error) == ("failed", error)
    (record,) = caplog.records
    assert record.exc_info[1] is error
    assert record.exc_info[2] is not None


@pytest.mark.parametrize("error", [DocumentError("Bad."), RuntimeError("A slip.")])
def test_a_failed_job_frees_the_turn(jobs, error):
    assert jobs.start("a", Plan(failing(error))).wait(5)
    after = jobs.start("b", Plan(lambda *_: None))
    assert after.wait(2)
    assert state(after) == "done"


def test_progress_is_seen_while_it_runs_and_the_last_step_stays(jobs, gate, until):
    def work(on_progress, stop, on_ready):
        on_progress(Progress("embedding", 3, 10, 1.5))
        through(gate)(on_progress, stop, on_ready)
        on_progress(Progress("memorising", 10, 10))

    job = jobs.start("a", Plan(work))
    until(lambda: job.snapshot().progress == Progress("embedding", 3, 10, 1.5))
    gate.set()
    assert job.wait(5)
    assert job.snapshot().progress == Progress("memorising", 10, 10)


def test_a_new_job_has_no_progress(jobs, gate):
    jobs.start("first", Plan(through(gate)))
    assert jobs.start("second", Plan(through(gate))).snapshot().progress is None


@pytest.mark.parametrize("ending", ["done", "failed", "stopped"])
def test_seconds_run_while_a_job_runs_and_stand_still_after_its_end(jobs, gate, until, ending):
    def work(on_progress, stop, on_ready):
        through(gate)(on_progress, stop, on_ready)
        if ending == "failed":
            raise MemoRAGError("No.")

    job = jobs.start("a", Plan(work))
    early = job.snapshot().seconds
    until(lambda: job.snapshot().seconds > early)
    if ending == "stopped":
        job.stop()
    else:
        gate.set()
    assert job.wait(5)
    at_end = job.snapshot()
    time.sleep(0.05)
    assert at_end.state == ending
    assert 0 < at_end.seconds == job.snapshot().seconds < 5


def test_seconds_count_the_waiting_too(jobs, gate, until):
    first = jobs.start("first", Plan(through(gate)))
    second = jobs.start("second", Plan(lambda *_: None))
    until(lambda: second.snapshot().seconds > 0.1)
    gate.set()
    assert first.wait(5)
    assert second.wait(5)
    assert second.snapshot().seconds > 0.1


def test_only_jobs_that_are_not_over_are_counted(jobs, gate):
    ended = jobs.start("ended", Plan(lambda *_: None))
    assert ended.wait(5)
    assert len(jobs) == 0
    running = [jobs.start(key, Plan(through(gate))) for key in ("a", "b", "b")]
    assert len(jobs) == 2
    gate.set()
    assert all(job.wait(5) for job in running)
    assert len(jobs) == 0


def test_waiting_for_the_end_gives_up_in_time(jobs, gate):
    job = jobs.start("a", Plan(through(gate)))
    began = time.monotonic()
    assert job.wait(0.05) is False
    assert time.monotonic() - began < 2
