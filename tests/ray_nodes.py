"""A real Ray cluster on loopback: one head and worker nodes, each by `ray start` in a process group of its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
START = 45.0  # seconds for one node; Ray itself gives up after 30
TRIES = 3
ENVIRONMENT = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
    "RAY_health_check_initial_delay_ms": "2000",
    "RAY_health_check_period_ms": "1000",
    "RAY_health_check_timeout_ms": "5000",
    "RAY_health_check_failure_threshold": "5",
    "PYTHONPATH": str(ROOT),
}


class Unavailable(Exception):
    """Ray does not start here; the message says why."""


class Cluster:
    """Nodes of one core each at 127.0.0.2 and up; `address` for `--on`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._nodes: list[tuple[subprocess.Popen[bytes], Path]] = []
        self._port = _free_port()
        self.address = f"ray://127.0.0.2:{self._port}"
        # The path of a Unix socket is short, so Ray's folder cannot lie in pytest's.
        self._ray = Path("/tmp") / f"espcn-ray-{os.getpid()}"

    def start(self, workers: int) -> None:
        """Start the head, without cores, and then the workers, one after the other."""
        head = [
            "--head",
            f"--port={self._port}",
            "--num-cpus=0",
            "--include-dashboard=False",
            f"--temp-dir={self._ray}",
        ]
        self._start("127.0.0.2", head)
        for number in range(workers):
            self._start(f"127.0.0.{3 + number}", [f"--address=127.0.0.2:{self._port}", "--num-cpus=1"])

    def environment(self) -> dict[str, str]:
        """For nodes and drivers: nothing that another test's use of Ray has left behind."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        return inherited | ENVIRONMENT

    def kill_node(self, number: int) -> None:
        """End a worker node at once, with everything that runs on it."""
        _end(self._nodes[1 + number][0], signal.SIGKILL)

    def stop(self) -> None:
        """End every process that `start` has started, and theirs."""
        for process, _ in reversed(self._nodes):
            _end(process, signal.SIGKILL)
        self._nodes.clear()
        shutil.rmtree(self._ray, ignore_errors=True)

    def _start(self, address: str, options: list[str]) -> None:
        common = ["--block", "--disable-usage-stats", "--include-log-monitor=False", "--object-store-memory=200000000"]
        ray = [sys.executable, "-m", "ray.scripts.scripts", "start", f"--node-ip-address={address}", *common]
        for attempt in range(TRIES):
            log = self._folder / f"{address}-{attempt}.log"
            with log.open("wb") as file:
                process = subprocess.Popen(
                    [*ray, *options],
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    env=self.environment(),
                    cwd="/",
                )
            if _comes_up(process, log):
                self._nodes.append((process, log))
                return
            _end(process, signal.SIGKILL)
        raise Unavailable(f"a node at {address} does not start: {log.read_text(errors='replace')[-300:]}")


def _comes_up(process: subprocess.Popen[bytes], log: Path) -> bool:
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        if "Ray runtime started" in log.read_text(errors="replace"):
            return True
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes], sign: int) -> None:
    """Signal a process, its descendants, and nobody else."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
        for one in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.send_signal(sign)
        psutil.wait_procs(family, timeout=10)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)  # what was left of its session
    process.wait(10)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.2", 0))
        return int(free.getsockname()[1])
