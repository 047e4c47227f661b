"""/healthz and /metrics: what they hold, and what they never do."""

import re

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from espcn_demo import health
from espcn_demo.limits import Limits
from espcn_demo.runner import Runner
from espcn_demo.storage import Storage


@pytest.fixture
def runner(tmp_path):
    storage = Storage(Limits(disk=1_000_000, disk_reserve=1), tmp_path)
    yield Runner(storage.limits, storage)
    storage.close()


@pytest.fixture
def client(runner):
    app = FastAPI()

    @app.get("/{path:path}")
    def page(path: str):
        return "the page"

    health.install(app, runner.state)
    with TestClient(app) as client:
        yield client


def test_healthz(runner, client):
    answer = client.get("/healthz")
    assert answer.status_code == 200
    body = answer.json()
    assert body["status"] == "starting" and body["alive"] is True
    runner.state.engine = "openvino bf16"
    with runner.desk.take("a"), runner.desk.take("b"):
        body = client.get("/healthz").json()
    assert body["status"] == "ok"
    assert body["engine"] == {"ready": True, "name": "openvino bf16"}
    assert body["queue"] == {"waiting": 1, "running": 1, "limit": Limits().queue}
    assert body["disk"]["budget"] == 1_000_000 and body["disk"]["free"] > 0


def test_a_full_disk_shows(runner, client):
    (runner.storage.job() / "big").write_bytes(bytes(1_000_001))
    assert client.get("/healthz").json()["status"] == "disk full"


def test_metrics_are_prometheus_text(runner, client):
    state = runner.state
    state.queued(0.05)
    state.queued(7)
    state.queued(5_000)
    state.finished("image", "done", seconds=1.5)
    state.finished("video", "refused", failure="InputError")
    state.finished("/home/somebody", "done")
    state.stages({"decode": 0.5, "upscale": 1.25})
    answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    text = answer.text
    line = re.compile(r'^(# (HELP|TYPE) .+|[a-z_]+(\{[a-z_]+="[^"]*"(,[a-z_]+="[^"]*")*\})? [-+.0-9e]+)$')
    assert all(line.match(entry) for entry in text.splitlines())
    assert 'espcn_jobs_total{kind="image",outcome="done"} 1' in text
    assert 'espcn_failures_total{kind="InputError"} 1' in text
    assert 'espcn_stage_seconds_total{stage="upscale"} 1.25' in text
    assert 'espcn_queue_seconds_bucket{le="0.1"} 1' in text
    assert 'espcn_queue_seconds_bucket{le="10"} 2' in text
    assert 'espcn_queue_seconds_bucket{le="+Inf"} 3' in text
    assert "espcn_queue_seconds_count 3" in text
    assert "somebody" not in text and str(runner.storage.folder) not in text
