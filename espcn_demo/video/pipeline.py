"""Three stages that work at the same time, joined by bounded queues: read, enlarge, write."""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from ..errors import InputError
from .report import Stages, StageTime

Item = TypeVar("Item")
Done = TypeVar("Done")
Value = TypeVar("Value")

READ, ENLARGE, WRITE = "decode", "upscale", "encode"
_POLL = 0.05  # seconds between looks at the stop flag while waiting


class Cancelled(InputError):
    """The user stopped the run; nothing is left behind."""


class _Stopped(BaseException):
    """Another stage failed or the run was cancelled: leave quietly."""


class Pipeline(Generic[Item, Done]):
    """Runs `read -> enlarge -> write`; the caller's thread enlarges, so that Ctrl-C arrives there.

    depth      items that may wait between two stages: bounds the memory
    cancelled  when set from outside, `run` raises Cancelled within a fraction of a second plus one item
    """

    def __init__(self, *, depth: int = 2, cancelled: threading.Event | None = None) -> None:
        self._depth, self._cancelled = depth, cancelled
        self._stop = threading.Event()
        self._failure: BaseException | None = None
        self._times = {name: [0.0, 0.0] for name in (READ, ENLARGE, WRITE)}

    @property
    def stages(self) -> Stages:
        """Seconds spent and waited so far."""
        return {name: StageTime(round(spent, 4), round(waited, 4)) for name, (spent, waited) in self._times.items()}

    def run(self, read: Iterable[Item], enlarge: Callable[[Item], Done], write: Callable[[Done], None]) -> None:
        """Pass every item through the stages in order; the first failure of any stage is raised here."""
        ready: queue.Queue[Item | None] = queue.Queue(self._depth)
        done: queue.Queue[Done | None] = queue.Queue(self._depth)
        stages = {"espcn-decode": (self._read, read, ready), "espcn-encode": (self._write, write, done)}
        over = {name: threading.Event() for name in stages}
        begun: list[threading.Event] = []
        try:
            for name, stage in stages.items():
                thread = threading.Thread(target=self._guard, args=(over[name], *stage), name=name, daemon=True)
                begun.append(over[name])  # before the start: Ctrl-C may arrive while the thread is being made
                try:
                    thread.start()
                except RuntimeError:  # no thread to be had
                    begun.pop()
                    raise
            self._enlarge(enlarge, ready, done)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error)
        finally:
            for event in begun:
                self._join(event)
        if self._failure is not None:
            raise self._failure
        if self._cancelled is not None and self._cancelled.is_set():
            raise Cancelled("Stopped: the run was cancelled and nothing was kept.")

    def _read(self, read: Iterable[Item], ready: queue.Queue[Item | None]) -> None:
        items = iter(read)
        while (item := self._timed(READ, next, items, None)) is not None:
            self._put(READ, ready, item)
        self._put(READ, ready, None)

    def _enlarge(
        self, enlarge: Callable[[Item], Done], ready: queue.Queue[Item | None], done: queue.Queue[Done | None]
    ) -> None:
        while (item := self._get(ENLARGE, ready)) is not None:
            self._put(ENLARGE, done, self._timed(ENLARGE, enlarge, item))
        self._put(ENLARGE, done, None)

    def _write(self, write: Callable[[Done], None], done: queue.Queue[Done | None]) -> None:
        while (item := self._get(WRITE, done)) is not None:
            self._timed(WRITE, write, item)

    def _timed(self, stage: str, work: Callable[..., Value], *arguments: object) -> Value:
        begin = time.perf_counter()
        try:
            return work(*arguments)
        finally:
            self._times[stage][0] += time.perf_counter() - begin

    def _put(self, stage: str, target: queue.Queue[Value], item: Value) -> None:
        self._wait(stage, lambda: target.put(item, timeout=_POLL))

    def _get(self, stage: str, origin: queue.Queue[Value]) -> Value:
        return self._wait(stage, lambda: origin.get(timeout=_POLL))

    def _wait(self, stage: str, attempt: Callable[[], Value]) -> Value:
        begin = time.perf_counter()
        try:
            while True:
                if self._stop.is_set() or (self._cancelled is not None and self._cancelled.is_set()):
                    self._stop.set()
                    raise _Stopped
                with contextlib.suppress(queue.Full, queue.Empty):
                    return attempt()
        finally:
            self._times[stage][1] += time.perf_counter() - begin

    def _guard(self, over: threading.Event, stage: Callable[..., None], *arguments: object) -> None:
        try:
            stage(*arguments)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error)
        finally:
            over.set()

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:  # later failures are consequences of the first
            self._failure = error
        self._stop.set()

    def _join(self, over: threading.Event) -> None:
        """Wait for a stage; Ctrl-C meanwhile stops it, and its files must be closed before they are removed."""
        while True:
            try:
                if over.wait(_POLL):
                    return
            except KeyboardInterrupt as interrupt:
                self._fail(interrupt)
