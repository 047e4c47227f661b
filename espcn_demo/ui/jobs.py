"""The page's side of long work: a stop switch for each visitor's session, and the words while it goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..runner import Note, Runner, Waiting, visitor
from ..sandbox import Done
from . import wording

if TYPE_CHECKING:
    import gradio as gr


class Jobs:
    """Runs jobs for sessions; each session's jobs can be stopped together, as a closed tab does."""

    def __init__(self, runner: Runner) -> None:
        self.runner, self.limits = runner, runner.limits
        self._lock = threading.Lock()
        self._switches: dict[str, dict[threading.Event, str]] = {}  # by session: each job's switch and its kind

    def folder(self) -> Path:
        """A new folder for one job's files."""
        return self.runner.storage.job()

    def run(
        self,
        kind: str,
        request: gr.Request | None,
        function: Callable[..., Any],
        *args: object,
        **kwargs: Any,  # noqa: ANN401 (handed on to the runner as they are)
    ) -> Iterator[Any]:
        """As `Runner.stream`, until it is done, refused, stopped by `stop`, or the iterator is closed."""
        session = _session(request)
        switch = threading.Event()
        with self._lock:
            self._switches.setdefault(session, {})[switch] = kind
        try:
            yield from self.runner.stream(kind, visitor(request), function, *args, cancelled=switch, **kwargs)
        finally:
            switch.set()
            with self._lock:
                mine = self._switches.get(session, {})
                mine.pop(switch, None)
                if not mine:
                    self._switches.pop(session, None)

    def result(
        self,
        kind: str,
        request: gr.Request | None,
        function: Callable[..., Any],
        *args: object,
        **kwargs: Any,  # noqa: ANN401 (handed on to the runner as they are)
    ) -> Any:  # noqa: ANN401 (what the function returns)
        """Run a job to its end, for callers that show no progress.

        Raises:
            InputError: one sentence for the caller.
        """
        for message in self.run(kind, request, function, *args, **kwargs):
            if isinstance(message, Done):
                return message.result
        raise InputError(wording.STOPPED)

    def running(self, request: gr.Request | None) -> int:
        """How many jobs of this session wait or run."""
        with self._lock:
            return len(self._switches.get(_session(request), ()))

    def supersede(self, request: gr.Request | None, kind: str) -> None:
        """Stop this session's jobs of one kind, because another takes their place."""
        with self._lock:
            mine = [switch for switch, of in self._switches.get(_session(request), {}).items() if of == kind]
        for switch in mine:
            switch.set()

    def stop(self, session: str | None) -> int:
        """Stop every job of a session; the number of jobs that were told so."""
        with self._lock:
            mine = list(self._switches.get(session or "", ()))
        for switch in mine:
            switch.set()
        return len(mine)


def _session(request: gr.Request | None) -> str:
    return str(getattr(request, "session_hash", "") or "")


def words(message: object) -> str | None:
    """What to show for the runner's own messages; None for those of the job."""
    if isinstance(message, Waiting):
        return wording.queued(message.ahead)
    if isinstance(message, Note):
        return message.text
    return None
