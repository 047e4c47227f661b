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
        threads = [
            threading.Thread(target=self._guard, args=(self._read, read, ready), name="espcn-decode", daemon=True),
            threading.Thread(target=self._guard, args=(self._write, write, done), name="espcn-encode", daemon=True),
        ]
        for thread in threads:
            thread.start()
        try:
            self._enlarge(enlarge, ready, done)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error)
        finally:
            for thread in threads:
                self._join(thread)
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

    def _timed(self, stage: str, work: Callable[..., Item], *arguments: object) -> Item:
        begin = time.perf_counter()
        try:
            return work(*arguments)
        finally:
            self._times[stage][0] += time.perf_counter() - begin

    def _put(self, stage: str, target: queue.Queue[Item | None], item: Item | None) -> None:
        self._wait(stage, lambda: target.put(item, timeout=_POLL))

    def _get(self, stage: str, origin: queue.Queue[Item | None]) -> Item | None:
        return self._wait(stage, lambda: origin.get(timeout=_POLL))

    def _wait(self, stage: str, attempt: Callable[[], Done]) -> Done:
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

    def _guard(self, stage: Callable[..., None], *arguments: object) -> None:
        try:
            stage(*arguments)
        except _Stopped:
            pass
        except BaseException as error:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        if self._failure is None:  # later failures are consequences of the first
            self._failure = error
        self._stop.set()

    def _join(self, thread: threading.Thread) -> None:
        """Wait for a thread; Ctrl-C meanwhile stops it first, since its files must be closed before they are removed."""
        while thread.is_alive():
            try:
                thread.join(_POLL)
            except KeyboardInterrupt as interrupt:
                self._fail(interrupt)
