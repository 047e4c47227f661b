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
    ) -> Iterator[Any]:
        """As `Runner.stream`, until it is done, refused, stopped by `stop`, or the iterator is closed.

        A later job for the same place on the page ends this one, and then it just says no more.
        """
        session, job = _session(request), _Job(place)
        if place:
            self.clear(request, place)
        with self._lock:
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

    def clear(self, request: gr.Request | None, place: str) -> None:
        """End this session's jobs for a place on the page: something else is to be shown there."""
        with self._lock:
            for job in self._jobs.get(_session(request), ()):
                if job.place == place:
                    job.replaced = True
                    job.switch.set()

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
