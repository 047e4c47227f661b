"""What an operator may know: /healthz for the load balancer, /metrics for Prometheus; neither holds personal data."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from .desk import Desk
from .storage import Storage

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.requests import Request
    from starlette.responses import Response

KINDS = ("image", "image_4x", "video", "preview", "probe", "measure", "other")
OUTCOMES = ("done", "refused", "stopped", "failed")
BUCKETS = (0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)  # seconds


class State:
    """Counters of one server; safe to use from any thread."""

    def __init__(self, desk: Desk, storage: Storage) -> None:
        self.desk, self.storage = desk, storage
        self.engine: str | None = None  # its name once it is ready
        self.crashes: Callable[[], int] = lambda: 0  # how often the worker process has had to be started again
        self._started = time.monotonic()
        self._lock = threading.Lock()
        self._jobs: Counter[tuple[str, str]] = Counter()
        self._failures: Counter[str] = Counter()
        self._stages: defaultdict[str, float] = defaultdict(float)
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._queued: list[int] = [0] * (len(BUCKETS) + 1)
        self._queue_seconds = 0.0

    def queued(self, seconds: float) -> None:
        """A job has left the queue after `seconds`."""
        with self._lock:
            self._queued[sum(seconds > bound for bound in BUCKETS)] += 1
            self._queue_seconds += seconds

    def finished(self, kind: str, outcome: str, *, seconds: float = 0.0, failure: str | None = None) -> None:
        """A job has ended; `failure` is the kind of error: a class name, never its text."""
        kind = kind if kind in KINDS else "other"
        with self._lock:
            self._jobs[kind, outcome] += 1
            self._seconds[kind] += seconds
            if failure:
                self._failures[failure] += 1

    def stages(self, seconds: dict[str, float]) -> None:
        """Add the seconds that a job spent in each stage (decode, upscale, encode)."""
        with self._lock:
            for stage, spent in seconds.items():
                self._stages[stage] += spent

    def health(self) -> dict[str, Any]:
        """The body of /healthz."""
        storage, limits = self.storage, self.storage.limits
        room = storage.has_room()
        return {
            "status": "ok" if room and self.engine else ("starting" if room else "disk full"),
            "alive": True,
            "engine": {"ready": self.engine is not None, "name": self.engine},
            "queue": {"waiting": self.desk.waiting, "running": self.desk.running, "limit": limits.queue},
            "disk": {"used": storage.used(), "budget": limits.disk, "free": storage.free()},
            "uptime_seconds": round(time.monotonic() - self._started, 1),
        }

    def metrics(self) -> str:
        """The body of /metrics, in Prometheus' text format 0.0.4."""
        with self._lock:
            jobs = {f'kind="{kind}",outcome="{outcome}"': n for (kind, outcome), n in sorted(self._jobs.items())}
            lines = [
                *_family("espcn_jobs_total", "counter", "Jobs that ended.", jobs),
                *_family("espcn_job_seconds_total", "counter", "Seconds spent on jobs.", _label("kind", self._seconds)),
                *_family("espcn_stage_seconds_total", "counter", "Seconds by stage.", _label("stage", self._stages)),
                *_family("espcn_failures_total", "counter", "Failures by kind.", _label("kind", self._failures)),
                *self._queue_histogram(),
            ]
        disk = {'what="used"': self.storage.used(), 'what="free"': self.storage.free()}
        lines += _family("espcn_queue_waiting", "gauge", "Jobs in the queue.", {"": self.desk.waiting})
        lines += _family("espcn_jobs_running", "gauge", "Jobs that run now.", {"": self.desk.running})
        lines += _family("espcn_disk_bytes", "gauge", "Disk used by the page, and free.", disk)
        crashes = {"": self.crashes()}
        lines += _family("espcn_worker_crashes_total", "counter", "Decoder crashes that were contained.", crashes)
        lines += _family("espcn_engine_ready", "gauge", "1 once the engine is warm.", {"": int(bool(self.engine))})
        lines += _family("espcn_uptime_seconds", "gauge", "Age.", {"": round(time.monotonic() - self._started, 1)})
        return "\n".join(lines) + "\n"

    def _queue_histogram(self) -> list[str]:
        name, total, lines = "espcn_queue_seconds", 0, []
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], self._queued, strict=True):
            total += count
            lines.append(f'{name}_bucket{{le="{bound}"}} {total}')
        head = [f"# HELP {name} Seconds that jobs waited for the engine.", f"# TYPE {name} histogram"]
        return [*head, *lines, f"{name}_sum {self._queue_seconds:.3f}", f"{name}_count {total}"]


def install(app: FastAPI, state: State) -> None:
    """Answer /healthz (JSON) and /metrics (text) before any other route, mounted pages included."""
    from starlette.responses import JSONResponse, PlainTextResponse
    from starlette.routing import Route

    async def healthz(request: Request) -> Response:
        return JSONResponse(state.health(), headers={"Cache-Control": "no-store"})

    async def metrics(request: Request) -> Response:
        return PlainTextResponse(state.metrics(), media_type="text/plain; version=0.0.4")

    app.router.routes[:0] = [Route("/healthz", healthz), Route("/metrics", metrics)]


def _label(name: str, values: Mapping[str, float]) -> dict[str, float]:
    return {f'{name}="{key}"': value for key, value in sorted(values.items())}


def _family(name: str, kind: str, text: str, values: Mapping[str, float]) -> list[str]:
    lines = [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
    for labels, value in values.items():
        lines.append(f"{name}{{{labels}}} {value:g}" if labels else f"{name} {value:g}")
    return lines
