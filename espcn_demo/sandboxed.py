"""The inside of the worker process: takes jobs from a channel, runs them, answers.

python -m espcn_demo.sandboxed       started by `sandbox.Worker`, with a pipe on standard input and output
"""

from __future__ import annotations

import faulthandler
import inspect
import os
import queue
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

from .channel import Channel
from .errors import InputError

HARD_STOP = 10.0  # seconds after a job's own time, when the server's side should long have ended this process


def serve(channel: Channel) -> NoReturn:
    """Run jobs until the server's side closes the channel, then leave at once."""
    jobs: queue.Queue[tuple[Any, ...]] = queue.Queue()
    cancelled = threading.Event()
    _, memory, warm = _next(channel)
    threading.Thread(target=_listen, args=(channel, jobs, cancelled), daemon=True).start()
    if warm is not None:
        try:
            warm()
        except Exception:
            traceback.print_exc()  # the first job fails in the same way, with its sentence
    _limit_memory(memory)  # now, because CUDA reserves far more address space than it uses
    while True:
        function, args, kwargs, timeout = jobs.get()
        # A C thread keeps this time, so that even a decoder that never gives up the interpreter's lock is ended.
        faulthandler.dump_traceback_later(timeout + HARD_STOP, exit=True)
        answer = _run(channel, cancelled, function, args, kwargs)
        faulthandler.cancel_dump_traceback_later()
        channel.send(answer)


def _next(channel: Channel) -> tuple[Any, ...]:
    try:
        message = channel.receive()
    except EOFError:
        os._exit(0)  # the server is gone: leave no orphan, whatever other threads are doing
    except BaseException:  # a job that cannot be imported; without a listener the process would wait for ever
        traceback.print_exc()
        os._exit(1)
    assert message is not None  # only a receive with a timeout comes back empty
    return message


def _listen(channel: Channel, jobs: queue.Queue[tuple[Any, ...]], cancelled: threading.Event) -> NoReturn:
    while True:
        kind, *rest = _next(channel)
        if kind == "cancel":
            cancelled.set()
        else:
            cancelled.clear()  # here, not after a job: a late cancel must not stop the job that follows
            jobs.put(tuple(rest))


def _run(
    channel: Channel,
    cancelled: threading.Event,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> tuple[str, Any]:
    parameters = inspect.signature(function).parameters
    if "on_progress" in parameters:
        kwargs.setdefault("on_progress", lambda progress: channel.send(("progress", progress)))
    if "cancelled" in parameters:
        kwargs.setdefault("cancelled", cancelled)
    try:
        return "done", function(*args, **kwargs)
    except BaseException as error:
        if cancelled.is_set():
            return "stopped", None
        if isinstance(error, InputError):
            return "refused", (type(error).__name__, str(error))
        if isinstance(error, MemoryError):
            return "memory", None
        last = traceback.extract_tb(error.__traceback__)[-1]
        return "failed", f"{type(error).__name__} at {os.path.basename(last.filename)}:{last.lineno}"


def _limit_memory(memory: int) -> None:
    """Let the process grow by `memory` bytes of address space at most (Linux; elsewhere there is no such limit)."""
    if sys.platform != "linux":
        return
    import resource

    with open("/proc/self/statm", encoding="ascii") as statm:
        size = int(statm.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = size + memory
    resource.setrlimit(resource.RLIMIT_AS, (wanted if hard == resource.RLIM_INFINITY else min(wanted, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> NoReturn:
    """Serve on the pipes that the server's side has laid."""
    os.nice(5)  # pages, uploads and downloads come first
    sink = os.dup(1)
    os.dup2(2, 1)  # whatever libraries print must not land between the messages
    serve(Channel(0, sink, trusted=True))


if __name__ == "__main__":
    main()
