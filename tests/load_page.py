"""The page as load.py sees it from outside: its process, its files, its answers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parent.parent
UP_WITHIN = 120.0  # seconds
BYTES = 3_000_000  # the largest upload, so that an oversize one is quick


class Page:
    """One server; `start` again after `kill`."""

    def __init__(self, folder: Path, port: int, *, retention: float) -> None:
        self.address = f"http://127.0.0.1:{port}"
        self.root = folder / "page"
        self._log = open(folder / "page.log", "wb")  # noqa: SIM115 (it stays open as long as the server lives)
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ESPCN_")},
            "ESPCN_FOLDER": str(self.root),
            "ESPCN_BYTES": str(BYTES),
            "ESPCN_RETENTION_SECONDS": str(retention),
            "GRADIO_SERVER_PORT": str(port),
            "HF_HUB_OFFLINE": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._process = subprocess.Popen(
            [sys.executable, str(ROOT / "app.py")], env=self._environment, stdout=self._log, stderr=self._log
        )
        deadline = time.monotonic() + UP_WITHIN
        while time.monotonic() < deadline:
            try:
                self.health()
                return
            except OSError:
                if self._process.poll() is not None:
                    raise SystemExit("the page did not start") from None
                time.sleep(0.1)
        raise SystemExit(f"the page is not up after {UP_WITHIN:.0f} s")

    def warm(self, within: float = 120.0) -> None:
        """Wait until the engine is ready."""
        deadline = time.monotonic() + within
        while not self.health()["engine"]["ready"] and time.monotonic() < deadline:
            time.sleep(0.25)

    def stop(self) -> None:
        """End the server as a supervisor does."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self._log.close()

    def kill(self) -> list[psutil.Process]:
        """kill -9; returns the processes that the server had started."""
        assert self._process is not None
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        psutil.wait_procs(children, timeout=15)
        return children

    @property
    def pid(self) -> int:
        """Of the server that runs."""
        assert self._process is not None
        return self._process.pid

    def alive(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def health(self) -> dict[str, Any]:
        """The body of /healthz."""
        return health(self.address)

    def crashes(self) -> int:
        """How often the worker process has crashed."""
        with urllib.request.urlopen(f"{self.address}/metrics", timeout=30) as answer:
            lines = answer.read().decode().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("espcn_worker_crashes_total "))

    def files(self) -> list[Path]:
        """What visitors have left on the disk."""
        found = [Path(parent, name) for parent, _, names in os.walk(self.root) for name in names]
        return [path for path in found if path.suffix != ".lock"]

    def leftovers(self) -> list[str]:
        """What is left when the server has ended properly."""
        return [str(path.relative_to(self.root)) for path in self.root.rglob("*")]


def health(address: str) -> dict[str, Any]:
    """The body of /healthz."""
    with urllib.request.urlopen(f"{address}/healthz", timeout=30) as answer:
        return dict(json.load(answer))


def memory(pid: int) -> float:
    """MiB of a process and everything that it has started."""
    total = 0
    try:
        server = psutil.Process(pid)
        processes = [server, *server.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0.0
    for process in processes:
        try:
            total += process.memory_info().rss
        except psutil.NoSuchProcess:
            continue
    return total / 2**20
