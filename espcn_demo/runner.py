"""How the page runs a job: a place in the fair queue, room on the disk, then the worker process.

    for message in runner.stream("video", visitor(request), upscale_video, path, out, cancelled=stop):
        match message:
            case Waiting(ahead=n): ...     n jobs are served before this one
            case Note(text=text): ...      something the visitor should know
            case Done(result=report): ...  the last message
            case None: ...                 nothing new for a tenth of a second
            case progress: ...             whatever the job gave to its `on_progress`

Closing the iterator (the tab was closed) or setting `cancelled` (Stop was pressed) ends the job at any stage.
"""

from __future__ import annotations

import contextlib
import hashlib
import ipaddress
import logging
import os
import secrets
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import weights, zerogpu
from .desk import Desk, Ticket
from .errors import InputError
from .health import State
from .limits import Limits
from .sandbox import DEFECT, Done, StoppedError, Worker
from .storage import Storage

if TYPE_CHECKING:
    import gradio as gr

Returned = TypeVar("Returned")

log = logging.getLogger(__name__)

LOOK = 0.25  # seconds between two looks at the queue
_SALT = secrets.token_bytes(16)  # visitors are told apart, but cannot be recognised after a restart


@dataclass(frozen=True)
class Waiting:
    """The job is in the queue; `ahead` jobs are served before it."""

    ahead: int


@dataclass(frozen=True)
class Note:
    """A sentence for the visitor, for example why the GPU is not used."""

    text: str


class Runner:
    """One server's jobs. `warm` loads the engine in the worker and returns its name."""

    def __init__(self, limits: Limits, storage: Storage, *, warm: Callable[[], str] | None = None) -> None:
        self.limits, self.storage = limits, storage
        self.desk = Desk(limits)
        self.state = State(self.desk, storage)
        self.worker = Worker(memory=limits.memory, warm=warm)
        self.state.crashes = lambda: self.worker.crashes
        self._warm = warm

    def start(self) -> None:
        """Start the worker and warm its engine in a thread; returns at once."""
        threading.Thread(target=self._start, name="warm", daemon=True).start()

    def _start(self) -> None:
        self.worker.start()
        if self._warm is None:
            self.state.engine = "cold"
            return
        try:
            with self.desk.take("the server itself") as ticket:
                ticket.wait(self.limits.job_seconds)
                # The process has warmed itself by then; this only asks for the engine's name.
                self.state.engine = str(self._result(self._warm))
                if os.environ.get(weights.VARIABLE):
                    log.warning("weights: %s", self._result(_weights))  # what serves instead, where they cannot be had
        except InputError as error:
            log.error("the engine does not start: %s", error)  # /healthz goes on saying that it is not ready

    def _result(self, function: Callable[..., Returned]) -> Returned:
        *_, last = self.worker.stream(function, timeout=self.limits.job_seconds, cancelled=None)
        result: Returned = last.result
        return result

    def stop(self) -> None:
        """End the worker and remove the files."""
        self.worker.kill()
        self.storage.close()

    def stream(
        self,
        kind: str,
        visitor: str,
        function: Callable[..., Any],
        *args: object,
        cancelled: threading.Event | None = None,
        room: int = 0,
        gpu_seconds: float | None = None,
        **kwargs: object,
    ) -> Iterator[Any]:
        """Run `function(*args, **kwargs)`; see the module's docstring for what is yielded.

        Args:
            kind: one of `health.KINDS`, for the counters.
            visitor: who asks; see `visitor`.
            function: a function of a module; it may take `on_progress` and `cancelled`.
            args: its arguments.
            cancelled: set it to stop the job.
            room: bytes that the results will probably take.
            gpu_seconds: the estimated time on a GPU, used on ZeroGPU only; by default that of the first file in `args`.
            kwargs: its keyword arguments.

        Raises:
            InputError: one sentence for the visitor.
        """
        outcome, failure, seconds = "stopped", None, 0.0
        try:
            self.storage.require(room)
            with self.storage.using([*args, *kwargs.values()]), self.desk.take(visitor) as ticket:
                yield from self._wait(ticket, cancelled)
                with contextlib.closing(self._run(function, args, kwargs, cancelled, gpu_seconds)) as messages:
                    for message in messages:
                        if isinstance(message, Done):
                            outcome, seconds = "done", message.seconds
                            self._count_stages(message.result)
                        else:
                            self.storage.require_slack()
                        yield message
        except StoppedError:
            raise
        except InputError as error:
            outcome, failure = ("failed" if str(error) == DEFECT else "refused"), type(error).__name__
            raise
        except Exception as error:
            outcome, failure = "failed", type(error).__name__
            raise
        finally:
            self.state.finished(kind, outcome, seconds=seconds, failure=failure)

    def _wait(self, ticket: Ticket, cancelled: threading.Event | None) -> Iterator[Waiting]:
        while not ticket.wait(LOOK):
            if cancelled is not None and cancelled.is_set():
                raise StoppedError
            yield Waiting(ticket.ahead())
        self.state.queued(ticket.waited)

    def _run(
        self,
        function: Callable[..., Any],
        args: tuple[object, ...],
        kwargs: dict[str, Any],
        cancelled: threading.Event | None,
        gpu_seconds: float | None,
    ) -> Generator[Any, None, None]:
        if zerogpu.active() and (gpu_seconds := gpu_seconds or self._estimate(args)):
            if zerogpu.fits(gpu_seconds):
                try:
                    with contextlib.closing(zerogpu.stream(gpu_seconds, function, args, kwargs)) as messages:
                        for message in messages:
                            if cancelled is not None and cancelled.is_set():
                                raise StoppedError
                            yield message
                    return
                except zerogpu.QuotaError as error:
                    yield Note(str(error))
            else:
                yield Note(zerogpu.TOO_LONG.format(gpu_seconds, zerogpu.LONGEST))
        yield from self.worker.stream(function, *args, timeout=self.limits.job_seconds, cancelled=cancelled, **kwargs)

    def _estimate(self, args: tuple[object, ...]) -> float | None:
        """Seconds on a GPU for the first file among the arguments, found by the worker; None without a file."""
        for value in args:
            if isinstance(value, Path) and value.is_file():
                for message in self.worker.stream(zerogpu.estimate, value, self.limits, timeout=60.0, cancelled=None):
                    if isinstance(message, Done):
                        return float(message.result)
        return None

    def _count_stages(self, result: object) -> None:
        """Reports are dataclasses or their plain values; a stage is its seconds, or holds them as `spent`."""
        stages = result.get("stages") if isinstance(result, dict) else getattr(result, "stages", None)
        if isinstance(stages, dict):
            spent = {str(name): one.get("spent") if isinstance(one, dict) else one for name, one in stages.items()}
            self.state.stages({name: float(one) for name, one in spent.items() if isinstance(one, int | float)})


def _weights() -> str:
    """The worker's weights and why it has taken them."""
    found = weights.resolve()
    return f"{found.name}, {found.reason}"


def visitor(request: gr.Request | None) -> str:
    """Tells visitors apart without keeping who they are: a salted hash of the address, or of the browser session.

    Behind a proxy (ESPCN_PROXY=1) the address is the last one in X-Forwarded-For; the earlier ones are the visitor's
    own words. On a Space it is the last public one, whatever the proxies inside add of their own: it would be the
    same for everybody. A loopback address says nothing about who asks, so there the browser session stands for the
    visitor.
    """
    host = getattr(getattr(request, "client", None), "host", None) or ""
    space = os.environ.get("SPACE_ID")
    if request is not None and (space or os.environ.get("ESPCN_PROXY")):
        forwarded = [part.strip() for part in str(request.headers.get("x-forwarded-for", "")).split(",")]
        last = forwarded[-1] or host
        host = next((one for one in reversed(forwarded) if _is_public(one)), last) if space else last
    if host in ("", "127.0.0.1", "::1", "testclient"):
        host = str(getattr(request, "session_hash", "") or "nobody")
    return hashlib.sha256(_SALT + host.encode()).hexdigest()[:16]


def _is_public(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
