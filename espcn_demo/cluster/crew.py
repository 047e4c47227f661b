"""Workers as Ray actors: hiring, handing out, waiting, and what each of Ray's errors means."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

from espcn_demo.cluster.events import Event, Failed, Finished, Lost, Started
from espcn_demo.cluster.sources import parts_of
from espcn_demo.cluster.tasks import Setup, Task
from espcn_demo.errors import InputError

_FETCH = 120.0  # seconds that a finished segment may take to arrive
_LEAVE = 5.0  # seconds that workers have to remove their copies at the end


@dataclass
class _Member:
    actor: Any
    started: bool = False


class RayCrew:
    """The workers of one run; a context manager that ends them all.

    cpus, gpus  of each worker, as Ray counts them
    """

    def __init__(self, setup: Setup, *, cpus: float, gpus: float) -> None:
        from espcn_demo.cluster.actor import Actor

        self._ray: Any = import_module("ray")
        self._setup, self._run = setup, secrets.token_hex(6)
        # Retries are the dispatcher's, since it counts and reports them.
        self._actor = self._ray.remote(Actor).options(num_cpus=cpus, num_gpus=gpus, max_restarts=0, max_task_retries=0)
        self._members: dict[int, _Member] = {}
        self._waiting: dict[Any, tuple[int, Any]] = {}  # reference of a result -> worker, reference of its bytes
        self._parts: dict[str, tuple[Any, ...]] = {}
        self._count = 0

    def __enter__(self) -> RayCrew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def hire(self) -> int:
        """Ask Ray for one more actor; it starts when there is room."""
        self._count += 1
        actor = self._actor.remote(self._setup, self._run)
        self._members[self._count] = _Member(actor)
        self._waiting[actor.start.remote()] = (self._count, None)
        return self._count

    def assign(self, worker: int, task: Task) -> None:
        """Give an idle worker a task."""
        result, data = self._members[worker].actor.make.options(num_returns=2).remote(task)
        self._waiting[result] = (worker, data)

    def wait(self, seconds: float) -> list[Event]:
        """Finished and failed calls since the last time."""
        if not self._waiting:
            return []
        pending = list(self._waiting)
        ready, _ = self._ray.wait(pending, num_returns=1, timeout=seconds)
        if ready:
            ready, _ = self._ray.wait(pending, num_returns=len(pending), timeout=0)
        events = (self._event(reference, *self._waiting.pop(reference)) for reference in ready)
        return [event for event in events if event.worker in self._members]

    def dismiss(self, worker: int) -> None:
        """Kill an actor."""
        member = self._members.pop(worker)
        self._waiting = {reference: owner for reference, owner in self._waiting.items() if owner[0] != worker}
        self._ray.kill(member.actor)

    def send(self, task: Task) -> Task:
        """Put a source into the object store, once; Ray moves it to disk when it needs the room."""
        path = task.source.path
        if path not in self._parts:
            self._parts[path] = tuple(self._ray.put(part) for part in parts_of(Path(path)))
        return replace(task, source=replace(task.source, parts=self._parts[path]))

    def forget(self, task: Task) -> None:
        """Release a source that no task needs any more."""
        self._parts.pop(task.source.path, None)

    def close(self) -> None:
        """End all workers; those that are idle remove their copies first."""
        busy = {worker for worker, _ in self._waiting.values()}
        idle = [member for worker, member in self._members.items() if member.started and worker not in busy]
        with suppress(self._ray.exceptions.RayError):  # a worker that is gone has nothing to remove
            leaving = [member.actor.leave.remote() for member in idle]
            if leaving:
                self._ray.wait(leaving, num_returns=len(leaving), timeout=_LEAVE)
        for worker in list(self._members):
            self.dismiss(worker)
        self._parts.clear()

    def _event(self, reference: object, worker: int, data: object) -> Event:
        try:
            value = self._ray.get(reference, timeout=_FETCH)
        except Exception as error:  # everything that can happen on another machine
            return _failure(worker, error)
        if data is None:
            self._members[worker].started = True
            return Started(worker, value)
        return Finished(worker, value, self._fetcher(data))

    def _fetcher(self, data: object) -> Callable[[], bytes]:
        def fetch() -> bytes:
            try:
                content: bytes = self._ray.get(data, timeout=_FETCH)
            except self._ray.exceptions.RayError as error:
                raise Lost(f"its result did not arrive: {_first_line(error)}") from error
            return content

        return fetch


def _failure(worker: int, error: Exception) -> Failed:
    """What an error of a remote call means."""
    exceptions: Any = import_module("ray.exceptions")
    if isinstance(error, exceptions.RayTaskError):
        cause = error.cause if isinstance(error.cause, BaseException) else error
        if isinstance(cause, InputError):
            return Failed(worker, str(cause).rstrip("."), gone=False, useless=True)
        if isinstance(cause, MemoryError):
            return Failed(worker, "it has too little memory", gone=False)
        return Failed(worker, f"{type(cause).__name__}: {_first_line(cause)}", gone=False)
    if isinstance(error, exceptions.OutOfMemoryError):
        return Failed(worker, "its machine ran out of memory", gone=True)
    if isinstance(error, exceptions.ActorUnschedulableError):
        return Failed(worker, "no machine has the cores or GPUs that a worker asks for", gone=True, useless=True)
    if isinstance(error, exceptions.RayActorError):
        return Failed(worker, _death(error), gone=True)
    return Failed(worker, _first_line(error), gone=True)


def _death(error: Exception) -> str:
    text = str(error)
    if "No module named" in text:
        return "espcn_demo cannot be imported there: install it with `pip install 'espcn_demo[ray]'` on every machine"
    if "node" in text.lower() and ("node died" in text.lower() or "node has died" in text.lower() or "owner" in text):
        return "its machine left the cluster"
    if "out of memory" in text.lower() or "OOM" in text.split("Some common causes")[0]:
        return "its machine ran out of memory"
    return "its process died"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
