"""The worker inside Ray: what names its machine, and two results that travel separately."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from espcn_demo.cluster.tasks import Facts, Result, Setup, Task


class Actor:
    """Builds the worker on the first call, so that what goes wrong then arrives as that call's own error."""

    def __init__(self, setup: Setup, run: str) -> None:
        self._arguments = setup, run

    def start(self) -> Facts:
        """Open the engine."""
        from espcn_demo.cluster.worker import Worker

        ray: Any = import_module("ray")
        self._worker = Worker(*self._arguments)
        return self._worker.start(_machine(ray.util.get_node_ip_address(), ray.get_runtime_context().get_node_id()))

    def make(self, task: Task) -> tuple[Result, bytes]:
        """The result of a task, small, and the bytes of its file, which stay here until they are fetched."""
        return self._worker.make(task)

    def leave(self) -> None:
        """Remove what the run left on this machine."""
        self._worker.leave()


def _machine(address: str, identity: str) -> str:
    return f"node {address} ({identity[:6]})"
