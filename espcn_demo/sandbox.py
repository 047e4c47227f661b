"""Untrusted files are decoded in another process, which can be killed without taking the server down.

`Worker` keeps one warm process for whole jobs. `run_isolated` starts one for a single call. A job is any function
of a module; when it takes `on_progress` or `cancelled` the worker passes them: progress comes back as messages, and
`cancelled` is a `threading.Event` that is set when the server's side gives up.
The worker's own side is sandboxed.py.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar, cast

from . import errors
from .channel import Channel
from .errors import InputError
from .limits import Limits

Result = TypeVar("Result")

log = logging.getLogger(__name__)

GRACE = 2.0  # seconds a cancelled job gets to clean up before its process is killed
TICK = 0.1  # seconds between two looks at `cancelled`
CRASHED = "This file made the decoder fail; nothing else is affected. Try another file, or convert it first."
TOO_LONG = "This took longer than {:.0f} s and was stopped; try a smaller picture or a shorter clip."
NO_MEMORY = "This needs more memory than one job may take; try a smaller picture or a shorter clip."
DEFECT = "Something went wrong on our side and the job was stopped; please try again."


class StoppedError(InputError):
    """The job was stopped on request."""

    def __init__(self, sentence: str = "Stopped.") -> None:
        super().__init__(sentence)


@dataclass(frozen=True)
class Done:
    """The last message of a job: what its function returned, and the wall-clock seconds it took."""

    result: Any
    seconds: float


class Worker:
    """One process for jobs, started on first use and again after a crash; one job at a time.

    Args:
        memory: address space that jobs may add to that of the warm process, bytes.
        warm: a function without arguments that the process calls before its first job, to load the engine.
    """

    def __init__(self, *, memory: int = Limits.memory, warm: Callable[[], object] | None = None) -> None:
        self.memory, self._warm = memory, warm
        self._busy = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self.crashes = 0

    @property
    def pid(self) -> int | None:
        """The process that does the work, while it lives."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else None

    def start(self) -> None:
        """Start the process unless it runs; returns at once, warming goes on in the process."""
        if self.pid is not None:
            return
        # -P keeps the working directory off the path; a session of its own keeps a terminal's Ctrl-C away from it.
        command = [sys.executable, "-P", "-m", f"{__package__}.sandboxed"]
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if os.environ.get("ESPCN_DEBUG") else subprocess.DEVNULL,  # decoders print file names
            env=_environment(),
            start_new_session=True,
        )
        assert process.stdin is not None and process.stdout is not None
        self._process = process
        self._channel = Channel(process.stdout.fileno(), process.stdin.fileno(), trusted=False)
        with contextlib.suppress(BrokenPipeError):
            self._channel.send(("setup", self.memory, self._warm))

    def stream(
        self,
        function: Callable[..., Any],
        *args: object,
        timeout: float = Limits.job_seconds,
        cancelled: threading.Event | None = None,
        **kwargs: object,
    ) -> Iterator[Any]:
        """Run `function(*args, **kwargs)` in the process: yields each progress message, and `Done` at the end.

        Closing the iterator stops the job. Nothing is yielded for a quiet second except None, about ten times a
        second, so that the caller can look around.

        Raises:
            InputError: what the function raised, or one sentence for a crash, a timeout or too little memory.
            StoppedError: `cancelled` was set.
        """
        with self._busy:
            self.start()
            finished = False
            try:
                for message in self._converse((function, args, kwargs, timeout), timeout, cancelled):
                    finished = isinstance(message, Done)
                    yield message
            except InputError:
                finished = True
                raise
            finally:
                if not finished:
                    self._abandon()

    def _converse(self, job: tuple[Any, ...], timeout: float, cancelled: threading.Event | None) -> Iterator[Any]:
        channel, started = self._channel, time.monotonic()
        assert channel is not None
        try:
            channel.send(("job", *job))
            while True:
                message = channel.receive(TICK)
                if cancelled is not None and cancelled.is_set():
                    self._abandon()
                    raise StoppedError
                if time.monotonic() - started > timeout:
                    self.kill()
                    raise InputError(TOO_LONG.format(timeout))
                if message is None:
                    yield None
                    continue
                kind, value = message
                if kind == "progress":
                    yield value
                elif kind == "done":
                    yield Done(value, time.monotonic() - started)
                    return
                else:
                    raise _error(kind, value)
        except (EOFError, BrokenPipeError, ValueError) as error:
            if isinstance(error, InputError):
                raise
            self.crashes += 1
            self.kill()
            self.start()  # ready again for the next visitor
            raise InputError(CRASHED) from error

    def _abandon(self) -> None:
        """Ask the job to stop and give it a moment to clean up; kill the process if it does not."""
        channel = self._channel
        if channel is None or self.pid is None:
            return
        deadline = time.monotonic() + GRACE
        try:
            channel.send(("cancel",))
            while (left := deadline - time.monotonic()) > 0:
                message = channel.receive(left)
                if message is not None and message[0] != "progress":
                    return
        except (EOFError, BrokenPipeError):
            pass  # it is gone already; kill() collects what is left
        self.kill()
        self.start()

    def kill(self) -> None:
        """End the process and everything it started, and close the pipes."""
        process, self._process, self._channel = self._process, None, None
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):
                    pipe.close()


def run_isolated(
    function: Callable[..., Result],
    *args: object,
    timeout: float = 60.0,
    memory: int = Limits.memory,
    **kwargs: object,
) -> Result:
    """`function(*args, **kwargs)` in a process of its own, ended afterwards; raises as `Worker.stream`."""
    worker = Worker(memory=memory)
    try:
        for message in worker.stream(function, *args, timeout=timeout, cancelled=None, **kwargs):
            if isinstance(message, Done):
                return cast(Result, message.result)
        raise InputError(CRASHED)
    finally:
        worker.kill()


def _environment() -> dict[str, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(part or os.getcwd() for part in sys.path)}
    if environment.pop("SPACES_ZERO_GPU", None):
        environment["CUDA_VISIBLE_DEVICES"] = ""  # on ZeroGPU only decorated functions may see the GPU
    for secret in [name for name in environment if "TOKEN" in name or "SECRET" in name or "PASSWORD" in name]:
        del environment[secret]  # what handles strangers' files needs no credentials
    return environment


def _error(kind: str, value: object) -> InputError:
    """The exception for the worker's last word; only this package's own input errors keep their class."""
    if kind == "refused":
        name, sentence = cast(tuple[object, object], value)
        family = getattr(errors, str(name), InputError)
        return family(str(sentence)) if issubclass(family, InputError) else InputError(str(sentence))
    if kind == "memory":
        return InputError(NO_MEMORY)
    if kind == "stopped":
        return StoppedError()
    log.error("a job failed: %s", value)  # the exception's type and place, never its text
    return InputError(DEFECT)
