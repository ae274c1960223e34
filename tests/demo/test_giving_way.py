"""Turns: who waited longest goes first, and long work that can be used already lets others in."""

import threading
import time
from itertools import pairwise

import pytest

from demo.jobs import Jobs, Plan
from demo.turns import Turns
from engine.errors import Cancelled
from engine.events import Progress, Stop


@pytest.fixture
def jobs():
    return Jobs()


class Log:
    """What happened, in order."""

    def __init__(self):
        self.lines = []

    def short(self, name):
        return Plan(lambda on_progress, stop, on_ready: self.lines.append(name))

    def long(self, name, gate, steps=40, ready_at=0):
        """Work of many steps that can be used after some; it begins its steps when the gate opens."""

        def work(on_progress, stop, on_ready):
            self.lines.append(f"{name} begins")
            assert gate.wait(10)
            for step in range(steps):
                if step == ready_at:
                    on_ready()
                stop.check()
                self.lines.append(name)
                on_progress(Progress("embedding", step, steps))
                time.sleep(0.002)
            self.lines.append(f"{name} ends")

        return Plan(work)


@pytest.fixture
def log():
    return Log()


@pytest.fixture
def gate():
    opened = threading.Event()
    yield opened
    opened.set()


def all_over(*jobs):
    return all(job.wait(20) for job in jobs)


def test_long_work_that_is_ready_lets_those_who_wait_go_first_and_then_ends(jobs, log, gate, until):
    long = jobs.start("long", log.long("long", gate, ready_at=3))
    until(lambda: log.lines)
    others = [jobs.start(name, log.short(name)) for name in ("b", "c", "d")]
    until(lambda: all(job.snapshot().state == "waiting" for job in others))
    gate.set()
    assert all_over(long, *others)
    before = log.lines[: log.lines.index("b")]
    assert before.count("long") == 4, "not before it is ready, and then at once"
    assert [line for line in log.lines if line in "bcd"] == ["b", "c", "d"], "first come, first served"
    assert log.lines[-1] == "long ends"
    assert log.lines.count("long") == 40
    assert long.snapshot().is_ready


def test_long_work_that_is_not_ready_goes_on_to_its_end(jobs, log, gate, until):
    long = jobs.start("long", log.long("long", gate, steps=10, ready_at=99))
    until(lambda: log.lines)
    other = jobs.start("b", log.short("b"))
    until(lambda: other.snapshot().state == "waiting")
    gate.set()
    assert all_over(long, other)
    assert log.lines[-2:] == ["long ends", "b"]


def test_two_long_ones_take_turns_and_both_end(jobs, log, gate, until):
    first = jobs.start("first", log.long("first", gate))
    until(lambda: log.lines)
    second = jobs.start("second", log.long("second", gate))
    gate.set()
    assert all_over(first, second)
    shared = log.lines[log.lines.index("second begins") : log.lines.index("first ends")]
    changes = sum(before != after for before, after in pairwise(shared))
    assert changes > 20, "neither waits for the other's end"


def test_a_stream_of_newcomers_does_not_starve_the_long_one(jobs, log, gate, until):
    long = jobs.start("long", log.long("long", gate, steps=15))
    until(lambda: log.lines)
    gate.set()
    newcomers = []
    while not long.wait(0.001):
        newcomers.append(jobs.start(f"new {len(newcomers)}", log.short("new")))
        assert len(newcomers) < 5000, "the long one never ends"
    assert all_over(*newcomers)
    assert log.lines.count("new") == len(newcomers)


def test_a_job_that_gave_way_says_that_it_waits_and_can_be_stopped_then(jobs, log, gate, until):
    hold = threading.Event()
    long = jobs.start("long", log.long("long", gate))
    until(lambda: log.lines)
    other = jobs.start("b", Plan(lambda on_progress, stop, on_ready: hold.wait(10)))
    until(lambda: other.snapshot().state == "waiting")
    gate.set()
    until(lambda: other.snapshot().state == "running")
    assert long.snapshot().state == "waiting"
    assert long.snapshot().is_ready
    long.stop()
    assert long.wait(2), "while the other still runs"
    assert long.snapshot().state == "stopped"
    assert other.snapshot().state == "running"
    third = jobs.start("c", log.short("c"))
    assert not third.wait(0.3), "the turn is still the other's"
    hold.set()
    assert all_over(other, third)


def test_reading_files_holds_up_nobody_who_computes(jobs, log, gate, until):
    reading = jobs.start("reading", Plan(log.short("memorised").work, read=lambda on_progress, stop: gate.wait(10)))
    until(lambda: reading.snapshot().state == "running")
    assert jobs.start("b", log.short("b")).wait(5)
    assert log.lines == ["b"]
    gate.set()
    assert reading.wait(5)
    assert log.lines == ["b", "memorised"]


def test_one_job_of_a_visitor_reads_at_a_time_and_a_few_of_all_visitors(jobs):
    now, together, lock = [], [], threading.Lock()

    def plan(who):
        def read(on_progress, stop):
            with lock:
                now.append(who)
                together.append(sorted(now))
            time.sleep(0.05)
            with lock:
                now.remove(who)

        return Plan(lambda on_progress, stop, on_ready: None, read=read, who=who)

    assert all_over(*[jobs.start(f"job {number}", plan(f"visitor {number % 5}")) for number in range(15)])
    assert all(len(set(readers)) == len(readers) for readers in together)
    assert max(map(len, together)) == 3


def test_a_file_that_takes_long_holds_up_its_visitor_alone(jobs, log, gate, until):
    def slow(who):
        return Plan(log.short(f"{who} slow").work, read=lambda on_progress, stop: gate.wait(10), who=who)

    def quick(who):
        return Plan(log.short(f"{who} quick").work, read=lambda on_progress, stop: None, who=who)

    hostile = [jobs.start(f"hostile {number}", slow("hostile")) for number in range(6)]
    own = jobs.start("hostile quick", quick("hostile"))
    assert jobs.start("kind", quick("kind")).wait(5)
    assert log.lines == ["kind quick"]
    gate.set()
    assert all_over(own, *hostile)


@pytest.mark.parametrize("ending", ["done", "failed", "stopped", "stopped while reading"])
def test_what_follows_a_job_is_done_before_anyone_sees_its_end(jobs, gate, until, ending):
    seen = []

    def work(on_progress, stop, on_ready):
        if ending == "failed":
            raise RuntimeError("A slip.")
        if ending == "stopped":
            raise Cancelled("Stopped on request.")

    def read(on_progress, stop):
        if ending == "stopped while reading":
            raise Cancelled("Stopped on request.")

    def over(at):
        seen.append(at.state)
        gate.wait(5)

    job = jobs.start("a", Plan(work, read, over))
    until(lambda: seen)
    assert not job.wait(0.05)
    gate.set()
    assert job.wait(5)
    assert seen == [job.snapshot().state] == [ending.split()[0]]


def test_a_fault_in_what_follows_does_not_hide_the_end(jobs, caplog):
    def over(at):
        raise OSError("no disk")

    assert jobs.start("a", Plan(lambda *_: None, over=over)).wait(5)
    assert "no disk" in caplog.text


def test_whoever_gives_up_waiting_leaves_no_gap_in_the_queue(until):
    turns, first, served = Turns(), Stop(), []
    release = threading.Event()

    def hold():
        with turns.turn(first):
            release.wait(10)

    def wait(name, stop):
        try:
            with turns.turn(stop):
                served.append(name)
        except Cancelled:
            served.append(f"{name} left")

    threads = [threading.Thread(target=hold)]
    threads[0].start()
    until(lambda: turns._holding)
    stops = {name: Stop() for name in ("a", "b", "c")}
    for number, name in enumerate(stops, 1):
        threads.append(threading.Thread(target=wait, args=(name, stops[name])))
        threads[-1].start()
        until(lambda expected=number: len(turns._waiting) == expected)
    stops["b"].set()
    until(lambda: served == ["b left"])
    release.set()
    [thread.join(5) for thread in threads]
    assert served == ["b left", "a", "c"]
    assert not turns.is_wanted
