"""Tasks to workers: each worker gets the next task when it is done with its own, and what fails goes to another.

Ray moves data and runs the workers; here are only the rules that Ray has no word for: three tries that are counted and
reported, another machine for the next try, and a second worker for what a slow one keeps waiting.
"""

from __future__ import annotations

import logging
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from espcn_demo.cluster.events import Crew, Event, Failed, Finished, Lost, Started
from espcn_demo.cluster.report import Retry, Tally
from espcn_demo.cluster.tasks import Enlarged, Facts, Made, Result, Task, Unseen
from espcn_demo.errors import InputError
from espcn_demo.video.pipeline import Cancelled

log = logging.getLogger(__name__)

TRIES = 3  # of one task
STARTS = 3  # of workers that fail to start, one after the other
PATIENCE = 180.0  # seconds without any worker after which a run ends
SLOW = 3.0  # times the median duration of a task after which an idle worker takes it over
SHORTEST = 20.0  # seconds that a task may always take
_POLL = 0.2  # seconds

Key = tuple[int, ...]


class NoWorkers(InputError):
    """No worker is left or none starts."""


class Work(Protocol):
    """The tasks of a run."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""

    def next(self, worker: int) -> Task | None:
        """The next task for a worker; None when there is none, or none before others are finished."""

    def finish(self, task: Task, result: Result, data: bytes) -> bool:
        """Take a result; True when no other task needs its source."""

    def give_up(self, task: Task, reason: str) -> None:
        """A task has failed TRIES times; raises InputError when that ends the run."""


@dataclass
class _Running:
    task: Task
    since: float


@dataclass
class _Trouble:
    """What went wrong with a task so far."""

    tries: int = 0
    places: set[str] = field(default_factory=set)


class Dispatcher:
    """Runs the tasks of `work` on `crew` until all are done.

    workers    how many to keep
    cancelled  ends the run when set
    clock      seconds, for tests
    """

    def __init__(
        self,
        crew: Crew,
        work: Work,
        tally: Tally,
        *,
        workers: int,
        cancelled: threading.Event | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._crew, self._work, self._tally = crew, work, tally
        self._workers, self._cancelled, self._clock = workers, cancelled, clock
        self._starting: set[int] = set()
        self._facts: dict[int, Facts] = {}
        self._running: dict[int, _Running] = {}
        self._again: deque[Task] = deque()
        self._trouble: dict[Key, _Trouble] = {}
        self._finished: set[Key] = set()
        self._durations: list[float] = []
        self._unlucky: dict[int, int] = {}  # failures in a row
        self._failed_starts = 0
        self._alone_since = clock()
        self._reason = "none started in time"

    def run(self) -> None:
        """Hand out, wait, take back.

        Raises:
            InputError: no worker is left, none starts, a task failed TRIES times, or the run was cancelled.
        """
        for _ in range(self._workers):
            self._hire()
        while not self._work.done:
            self._check()
            self._hand_out()
            for event in self._crew.wait(_POLL):
                self._take(event)

    def _check(self) -> None:
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled("Stopped: the run was cancelled and nothing was kept.")
        if self._facts:
            self._alone_since = self._clock()
        elif not self._starting or self._clock() - self._alone_since > PATIENCE:
            raise NoWorkers(f"no worker is left on the cluster: {self._reason}.")

    def _hire(self) -> None:
        self._starting.add(self._crew.hire())

    def _hand_out(self) -> None:
        for worker in [worker for worker in self._facts if worker not in self._running]:
            task = self._retry_for(worker) or self._work.next(worker) or self._slow_one()
            if task is not None:
                if self._facts[worker].node in self._tally.blind:
                    task = self._crew.send(task)
                log.info("%s goes to process %d on %s", task.title, self._facts[worker].pid, self._facts[worker].node)
                self._running[worker] = _Running(task, self._clock())
                self._crew.assign(worker, task)

    def _retry_for(self, worker: int) -> Task | None:
        """A task that failed, if not on this machine, or if there is no other."""
        here = self._facts[worker].node
        others = {facts.node for facts in self._facts.values()}
        for task in self._again:
            places = self._trouble[task.key].places
            if here not in places or not others - places:
                self._again.remove(task)
                return task
        return None

    def _slow_one(self) -> Task | None:
        """A task that takes far longer than others do and that nobody else works on."""
        running = list(self._running.values())
        if not self._durations or not running:
            return None
        limit = max(SHORTEST, SLOW * statistics.median(self._durations))
        keys = [one.task.key for one in running]
        slow = [one for one in running if self._clock() - one.since > limit and keys.count(one.task.key) == 1]
        if not slow:
            return None
        oldest = min(slow, key=lambda one: one.since)
        worker = next(number for number, one in self._running.items() if one is oldest)
        self._note(oldest.task, worker, f"slow: {self._clock() - oldest.since:.0f} s and not done")
        return oldest.task

    def _take(self, event: Event) -> None:
        if isinstance(event, Started):
            self._started(event.worker, event.facts)
        elif event.worker in self._starting:
            assert isinstance(event, Failed)
            self._start_failed(event)
        elif isinstance(event, Finished):
            self._done(event)
        else:
            self._failed(event)

    def _started(self, worker: int, facts: Facts) -> None:
        self._starting.discard(worker)
        self._failed_starts = 0
        if not self._tally.accept(facts):
            self._reason = f"{facts.node} runs {facts.engine} instead of {self._tally.engine}"
            self._crew.dismiss(worker)
            return
        self._facts[worker] = facts

    def _start_failed(self, event: Failed) -> None:
        self._starting.discard(event.worker)
        self._crew.dismiss(event.worker)
        self._reason = event.reason
        self._tally.note(f"a worker did not start: {event.reason}")
        self._failed_starts += 1
        if not event.useless and self._failed_starts < STARTS:
            self._hire()

    def _done(self, event: Finished) -> None:
        running = self._running.pop(event.worker)
        task, result = running.task, event.result
        if task.key in self._finished:
            return  # another worker was faster
        if isinstance(result, Unseen):
            self._tally.unseen(self._facts[event.worker].node, result.reason)
            self._again.appendleft(self._crew.send(task))
            self._trouble.setdefault(task.key, _Trouble())
            return
        if isinstance(result, Made | Enlarged) and result.engine != self._tally.engine:
            self._failed(Failed(event.worker, f"its engine went over to {result.engine}", gone=True), running)
            return
        try:
            data = event.fetch()
        except Lost as lost:
            self._failed(Failed(event.worker, str(lost), gone=True), running)
            return
        self._unlucky.pop(event.worker, None)
        self._finished.add(task.key)
        self._durations.append(self._clock() - running.since)
        self._tally.count(self._facts[event.worker].node, result, len(data))
        if self._work.finish(task, result, data):
            self._crew.forget(task)

    def _failed(self, event: Failed, running: _Running | None = None) -> None:
        running = running or self._running.pop(event.worker)
        task, node = running.task, self._facts[event.worker].node
        self._unlucky[event.worker] = self._unlucky.get(event.worker, 0) + 1
        if task.key not in self._finished:
            self._note(task, event.worker, event.reason)
            self._try_again(task, node, event.reason)
        if event.gone or self._unlucky[event.worker] > 1:
            self._reason = f"{node}: {event.reason}"
            self._facts.pop(event.worker)
            self._crew.dismiss(event.worker)
            self._hire()

    def _try_again(self, task: Task, node: str, reason: str) -> None:
        trouble = self._trouble.setdefault(task.key, _Trouble())
        trouble.tries += 1
        trouble.places.add(node)
        if trouble.tries >= TRIES:
            self._finished.add(task.key)
            self._work.give_up(task, f"{task.title} failed {TRIES} times, at last on {node}: {reason}")
        elif all(one.task.key != task.key for one in self._running.values()):
            self._again.append(task)

    def _note(self, task: Task, worker: int, reason: str) -> None:
        retry = Retry(task.title, self._facts[worker].node, reason)
        log.warning("%s is tried again elsewhere; %s: %s", retry.task, retry.node, retry.reason)
        self._tally.retries.append(retry)
