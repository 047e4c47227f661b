"""What is seen of the page from outside while load.py's visitors are there.

In a process of its own, as a load balancer is: thirty visitors share one interpreter, and a thread among them would
measure how long it waits for them rather than for the page.
"""

from __future__ import annotations

import multiprocessing
import statistics
import time
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import psutil

from .load_page import health, memory

EVERY = 0.25  # seconds between two questions
MEMORY_EVERY = 20  # questions between two readings of the memory


@dataclass
class Seen:
    """Answers and memory of one page."""

    delays: list[float] = field(default_factory=list)  # seconds that /healthz took
    memory: list[tuple[float, float]] = field(default_factory=list)  # seconds since the start, MiB
    waiting: int = 0  # most jobs in the queue

    def growth(self) -> float:
        """MiB between the second minute (or quarter) and the last."""
        span = self.memory[-1][0]
        part = min(60.0, span / 4)
        early = [size for moment, size in self.memory if part <= moment <= 2 * part]
        late = [size for moment, size in self.memory if moment >= span - part]
        return statistics.median(late) - statistics.median(early) if early and late else 0.0


class Watch:
    """Watches from when it is made to `end`."""

    def __init__(self, address: str, pid: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        self._process = context.Process(target=look, args=(address, pid, theirs), daemon=True)
        self._process.start()
        self._ours.recv()  # it has begun

    def end(self) -> Seen:
        """Stop watching; returns what was seen."""
        self._ours.send(None)
        seen: Seen = self._ours.recv()
        self._process.join()
        return seen


def look(address: str, pid: int, watch: Connection) -> None:
    """Ask until told to stop, or until the server has ended."""
    seen, began = Seen(), time.monotonic()
    watch.send(None)
    while not watch.poll(EVERY) and psutil.pid_exists(pid):
        moment = time.monotonic()
        with suppress(OSError):  # its seconds count
            seen.waiting = max(seen.waiting, health(address)["queue"]["waiting"])
        seen.delays.append(time.monotonic() - moment)
        if len(seen.delays) % MEMORY_EVERY == 1:
            seen.memory.append((moment - began, memory(pid)))
    watch.send(seen)
