"""The page's side of long work: a stop switch for each visitor's session, and the words while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import InputError
from ..runner import Note, Runner, Waiting, visitor
from ..sandbox import Done, StoppedError
from . import wording

if TYPE_CHECKING:
    import gradio as gr

Returned = TypeVar("Returned")


@dataclass(eq=False)
class _Job:
    """One job of a session: the place where its result is shown, its stop switch, and whether that place is taken."""

    place: str
    number: float
    switch: threading.Event = field(default_factory=threading.Event)
    replaced: bool = False


class Jobs:
    """Runs jobs for sessions; each session's jobs can be stopped together, as a closed tab does."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.limits = runner, runner.limits
        self._lock = threading.Lock()
        self._jobs: dict[str, list[_Job]] = {}  # by session

    def folder(self) -> Path:
        """A new folder for one job's files."""
        return self.runner.storage.job()

    def run(
        self,
        kind: str,
        request: gr.Request | None,
        function: Callable[..., Any],
        *args: object,
        place: str = "",
        number: float = 0,
    ) -> Iterator[Any]:
        """As `Runner.stream`, until it is done, refused, stopped by `stop`, or the iterator is closed.

        A later job for the same place on the page ends this one, and then it just says no more. `number` is that of the
        event (`fields.wire`); without one the job is as late as any.
        """
        session = _session(request)
        with self._lock:
            job = _Job(place, number or max((one.number for one in self._at(session, place)), default=0))
            if place and not self._end(session, place, job.number):
                return
            self._jobs.setdefault(session, []).append(job)
        try:
            for message in self.runner.stream(kind, visitor(request), function, *args, cancelled=job.switch):
                if job.replaced:
                    return
                yield message
        except StoppedError:
            if not job.replaced:
                raise
        finally:
            job.switch.set()
            with self._lock:
                self._jobs[session].remove(job)
                if not self._jobs[session]:
                    del self._jobs[session]

    def result(
        self,
        kind: str,
        request: gr.Request | None,
        function: Callable[..., Returned],
        *args: object,
    ) -> Returned:
        """Run a job to its end, for callers that show no progress.

        Raises:
            InputError: one sentence for the caller.
        """
        for message in self.run(kind, request, function, *args):
            if isinstance(message, Done):
                result: Returned = message.result
                return result
        raise InputError(wording.STOPPED)

    def clear(self, request: gr.Request | None, place: str, number: float) -> bool:
        """End this session's jobs for a place on the page, as event `number` says; False when one there is newer."""
        with self._lock:
            return self._end(_session(request), place, number)

    def _end(self, session: str, place: str, number: float) -> bool:
        found = self._at(session, place)
        if any(job.number > number for job in found):
            return False
        for job in found:
            job.replaced = True
            job.switch.set()
        return True

    def _at(self, session: str, place: str) -> list[_Job]:
        return [job for job in self._jobs.get(session, ()) if job.place == place]

    def stop(self, session: str | None) -> None:
        """Stop every job of a session."""
        with self._lock:
            for job in self._jobs.get(session or "", ()):
                job.switch.set()


def _session(request: gr.Request | None) -> str:
    return str(getattr(request, "session_hash", "") or "")


def words(message: object) -> str | None:
    """What to show for the runner's own messages; None for those of the job."""
    if isinstance(message, Waiting):
        return wording.queued(message.ahead)
    if isinstance(message, Note):
        return message.text
    return None
