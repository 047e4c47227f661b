"""How tasks are handed out to workers on several machines, with workers that only pretend."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, replace

import pytest

from espcn_demo.cluster.dispatch import Dispatcher, NoWorkers
from espcn_demo.cluster.events import Failed, Finished, Lost, Started
from espcn_demo.cluster.report import Tally
from espcn_demo.cluster.tasks import Facts, Made, PictureTask, Source, Unseen
from espcn_demo.errors import InputError
from espcn_demo.limits import GENEROUS
from espcn_demo.video.decode import Health
from espcn_demo.video.pipeline import Cancelled
from espcn_demo.video.segments import Segment

ENGINE = "numpy"


def task(number):
    return PictureTask(number, Source(f"/clips/{number}", {"bytes": 1}), f"/out/{number}", False, GENEROUS)


def made(engine=ENGINE):
    segment = Segment("x", 1, 8, 0, 7, 1, 0)
    return Made(segment, False, 0.5, 0.5, Health(), {}, {}, 1.0, engine)


@dataclass
class FakeWork:
    """Tasks that are numbers; `finished` in the order in which they came back."""

    count: int
    given: int = 0

    def __post_init__(self):
        self.finished, self.lost = [], []

    @property
    def done(self):
        return len(self.finished) + len(self.lost) == self.count

    def next(self, worker):
        if self.given == self.count:
            return None
        self.given += 1
        return task(self.given - 1)

    def finish(self, one, result, data):
        self.finished.append(one.key[0])
        return True

    def give_up(self, one, reason):
        self.lost.append(one.key[0])
        raise InputError(reason)


class FakeCrew:
    """Workers on named nodes whose answer to a task is decided by `answer(worker, node, task)`.

    An answer is a number of seconds that the task takes, or an event to fail with (at once).
    """

    def __init__(self, nodes, answer, *, facts=None, replacements=()):
        self.nodes, self.answer, self.facts = deque(nodes), answer, facts or {}
        self.replacements = deque(replacements)
        self.now, self.count = 0.0, 0
        self.alive, self.due, self.busy, self.sent, self.log = {}, [], {}, [], []

    def clock(self):
        return self.now

    def hire(self):
        self.count += 1
        pool = self.nodes or self.replacements
        if pool:
            node = pool.popleft()
            self.alive[self.count] = node
            engine = self.facts.get(node, ENGINE)
            if isinstance(engine, Failed):
                self.due.append((self.now, replace(engine, worker=self.count)))
            else:
                self.due.append((self.now, Started(self.count, Facts(node, node, self.count, engine, "chosen"))))
        return self.count  # without room it never starts

    def assign(self, worker, one):
        assert worker in self.alive and worker not in self.busy, "one task at a time"
        self.busy[worker] = one
        self.log.append((self.alive[worker], one.key[0]))
        answer = self.answer(worker, self.alive[worker], one)
        if isinstance(answer, (int, float)):
            self.due.append((self.now + answer, Finished(worker, made(), lambda: b"bytes")))
        elif isinstance(answer, Failed):
            self.due.append((self.now + 0.5, replace(answer, worker=worker)))
        else:
            self.due.append((self.now + 0.5, Finished(worker, *answer)))

    def wait(self, seconds):
        self.now += seconds
        ready = [event for when, event in sorted(self.due, key=lambda one: one[0]) if when <= self.now]
        self.due = [(when, event) for when, event in self.due if when > self.now]
        for event in ready:
            self.busy.pop(event.worker, None)
        return [event for event in ready if event.worker in self.alive or isinstance(event, Started)]

    def dismiss(self, worker):
        self.alive.pop(worker, None)
        self.busy.pop(worker, None)
        self.due = [(when, event) for when, event in self.due if event.worker != worker]

    def send(self, one):
        self.sent.append(one.key[0])
        return replace(one, source=replace(one.source, parts=("part",)))

    def forget(self, one):
        pass


def run(crew, work, *, workers=2, cancelled=None):
    tally = Tally()
    Dispatcher(crew, work, tally, workers=workers, cancelled=cancelled, clock=crew.clock).run()
    return tally


def died(reason="its process died"):
    return Failed(0, reason, gone=True)


def test_every_task_is_done_once_and_each_node_is_counted():
    crew, work = FakeCrew(["a", "b"], lambda *_: 1.0), FakeWork(10)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(10))
    assert len(crew.log) == 10 and tally.retries == []
    share = tally.share()
    assert {node.node for node in share.nodes} == {"a", "b"}
    assert sum(node.tasks for node in share.nodes) == 10 and sum(node.frames for node in share.nodes) == 80
    assert share.workers == 2 and share.engine == ENGINE and share.sources == "shared path"


def test_a_fast_worker_gets_more():
    crew, work = FakeCrew(["fast", "slow"], lambda worker, node, one: 1.0 if node == "fast" else 2.5), FakeWork(14)
    run(crew, work)
    nodes = [node for node, _ in crew.log]
    assert nodes.count("fast") >= 2 * nodes.count("slow")


def test_a_dead_workers_task_goes_to_another_and_is_reported():
    answers = {("a", 0): died()}
    crew = FakeCrew(["a", "b"], lambda worker, node, one: answers.pop((node, one.key[0]), 1.0))
    work = FakeWork(4)
    tally = run(crew, work)
    assert sorted(work.finished) == [0, 1, 2, 3]
    assert [(retry.node, retry.reason) for retry in tally.retries] == [("a", "its process died")]
    assert ("b", 0) in crew.log


def test_a_dead_worker_is_replaced():
    first = [died()]
    crew = FakeCrew(["a"], lambda *_: first.pop() if first else 1.0, replacements=["c"])
    work = FakeWork(3)
    tally = run(crew, work, workers=1)
    assert sorted(work.finished) == [0, 1, 2] and tally.workers == 2
    assert {node for node, _ in crew.log[1:]} == {"c"}


def test_a_node_that_leaves_takes_nothing_with_it():
    crew = FakeCrew(
        ["a", "a", "b"], lambda worker, node, one: died("its machine left the cluster") if node == "a" else 1.0
    )
    work = FakeWork(6)
    tally = run(crew, work, workers=3)
    assert sorted(work.finished) == list(range(6))
    assert {retry.reason for retry in tally.retries} == {"its machine left the cluster"}


def test_a_worker_without_memory_is_let_go_after_two_failures():
    short = Failed(0, "it has too little memory", gone=False)
    crew = FakeCrew(["small", "large"], lambda worker, node, one: short if node == "small" else 1.0)
    work = FakeWork(8)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(8))
    assert [node for node, _ in crew.log].count("small") == 2
    assert {retry.reason for retry in tally.retries} == {"it has too little memory"}


def test_three_failures_of_one_task_end_the_run_with_the_reason():
    bad = Failed(0, "ValueError: no", gone=False)
    crew = FakeCrew(["a", "b", "c"], lambda worker, node, one: bad if one.key[0] == 1 else 1.0)
    work = FakeWork(30)
    with pytest.raises(InputError, match=r"^1 failed 3 times, at last on .: ValueError: no$"):
        run(crew, work, workers=3)
    assert len([one for one in crew.log if one[1] == 1]) == 3
    assert len({node for node, number in crew.log if number == 1}) == 3  # each time elsewhere
    assert work.finished


def test_what_a_slow_node_keeps_waiting_is_taken_over():
    crew = FakeCrew(["stuck", "good"], lambda worker, node, one: 1e6 if node == "stuck" else 1.0)
    work = FakeWork(5)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(5)) and crew.now < 60
    assert [retry.node for retry in tally.retries] == ["stuck"] and tally.retries[0].reason.startswith("slow")


def test_the_slower_of_two_results_is_ignored():
    seconds = {"stuck": 12.0, "good": 1.0}
    crew = FakeCrew(["stuck", "good"], lambda worker, node, one: seconds[node] if one.key[0] < 8 else 4.0)
    work = FakeWork(14)
    run(crew, work)
    assert sorted(work.finished) == list(range(14))


def test_a_result_that_is_lost_on_its_way_is_made_again():
    lost = [True]

    def fetch():
        raise Lost("its result did not arrive")

    def answer(worker, node, one):
        return (made(), fetch) if one.key[0] == 2 and lost and lost.pop() else 1.0

    crew, work = FakeCrew(["a", "b"], answer, replacements=["c"]), FakeWork(5)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(5))
    assert [retry.reason for retry in tally.retries] == ["its result did not arrive"]


def test_a_worker_that_cannot_read_the_path_gets_the_source_sent():
    def answer(worker, node, one):
        return 1.0 if one.source.parts or node == "near" else (Unseen("far cannot read /clips/1 (no such file)"), bytes)

    crew, work = FakeCrew(["near", "far"], answer), FakeWork(6)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(6)) and tally.retries == []
    assert tally.share().sources == "object store"
    assert tally.notes == ["far cannot read /clips/1 (no such file): its sources go through Ray's object store"]


def test_a_worker_with_another_engine_is_left_out():
    crew = FakeCrew(["a", "b"], lambda *_: 1.0, facts={"b": "cuda"})
    work = FakeWork(4)
    tally = run(crew, work)
    assert {node for node, _ in crew.log} == {"a"}
    assert tally.notes == ["b runs cuda instead of numpy and was left out: choose a backend"]


def test_a_worker_whose_engine_changes_in_the_middle_is_replaced():
    changed = [True]

    def answer(worker, node, one):
        return (made("torch"), bytes) if node == "a" and changed and changed.pop() else 1.0

    crew, work = FakeCrew(["a", "b"], answer, replacements=["c"]), FakeWork(4)
    tally = run(crew, work)
    assert sorted(work.finished) == list(range(4))
    assert tally.retries[0].reason == "its engine went over to torch"


def test_workers_that_never_start_end_the_run_with_the_reason():
    refusal = Failed(0, "node a has av 17 instead of 18: install the same versions on every machine", False, True)
    crew = FakeCrew(["a", "a"], lambda *_: 1.0, facts={"a": refusal})
    with pytest.raises(NoWorkers, match="no worker is left on the cluster: node a has av 17 instead of 18"):
        run(crew, FakeWork(2))
    assert crew.count == 2  # not tried again: it would end alike


def test_without_room_the_run_ends_in_bounded_time():
    crew = FakeCrew([], lambda *_: 1.0)
    with pytest.raises(NoWorkers, match="none started in time"):
        run(crew, FakeWork(1))
    assert crew.now < 300


def test_cancelling_ends_the_run():
    cancelled = threading.Event()

    def answer(worker, node, one):
        cancelled.set()
        return 1e6

    with pytest.raises(Cancelled):
        run(FakeCrew(["a"], answer), FakeWork(3), workers=1, cancelled=cancelled)


def test_the_head_never_asks_for_more_than_one_result_at_a_time():
    """Back-pressure: as many tasks are out as there are workers, and bytes come one after the other."""
    crew, work = FakeCrew(["a", "b", "c"], lambda *_: 1.0), FakeWork(30)
    highest = []
    assign = crew.assign

    def watched(worker, one):
        assign(worker, one)
        highest.append(len(crew.busy))

    crew.assign = watched
    run(crew, work, workers=3)
    assert max(highest) == 3
