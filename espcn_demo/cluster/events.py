"""What a crew of workers can do and what it tells; the dispatcher knows no more of Ray than this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from espcn_demo.cluster.tasks import Facts, Result, Task


class Lost(Exception):
    """A worker, or what it had made, is gone; the message says how, in words without a full stop."""


@dataclass(frozen=True)
class Started:
    """A worker is ready."""

    worker: int
    facts: Facts


@dataclass(frozen=True)
class Finished:
    """A worker has done its task; `fetch` brings the bytes to the head and raises Lost when they are gone."""

    worker: int
    result: Result
    fetch: Callable[[], bytes]


@dataclass(frozen=True)
class Failed:
    """A worker's task, or its start, failed.

    reason   words without a full stop
    gone     the worker does not live any more
    useless  starting another one in the same place would fail alike
    """

    worker: int
    reason: str
    gone: bool
    useless: bool = False


Event = Started | Finished | Failed


class Crew(Protocol):
    """Workers by number."""

    def hire(self) -> int:
        """Ask for one more worker; Started or Failed follows."""

    def assign(self, worker: int, task: Task) -> None:
        """Give a started, idle worker a task; Finished or Failed follows."""

    def wait(self, seconds: float) -> list[Event]:
        """What happened, waiting up to `seconds` for the first event."""

    def dismiss(self, worker: int) -> None:
        """End a worker at once; no event follows."""

    def send(self, task: Task) -> Task:
        """The same task with its source in the object store."""

    def forget(self, task: Task) -> None:
        """Release a task's source from the object store."""
