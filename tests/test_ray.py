"""A real Ray cluster of one head and two worker nodes on loopback."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from espcn_demo.folder import upscale_folder
from espcn_demo.video import upscale_video
from tests.conftest import write_clip
from tests.ray_nodes import Cluster, Unavailable

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),  # a busy machine takes long to start a cluster
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed: pip install ray"),
    pytest.mark.skipif(sys.platform != "linux", reason="several loopback addresses need Linux"),
]
ENGINE = {"backend": "openvino", "quality": "best"}  # eight times the work for each byte that is encoded
FRAMES, SIZE = 560, (64, 48)  # three segments: 240, 240 and 80 frames
GONE = 120.0  # seconds for processes to end


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    nodes = Cluster(tmp_path_factory.mktemp("ray"))
    try:
        nodes.start(2)
    except Unavailable as error:
        nodes.stop()
        pytest.skip(f"this machine is too busy for a Ray cluster: {error}")
    yield nodes
    nodes.stop()


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip of three segments with sound."""
    return write_clip(tmp_path_factory.mktemp("clip") / "pan.mp4", frames=FRAMES, size=SIZE)


@pytest.fixture(scope="module")
def single(clip, engine):
    """The clip made on one machine."""
    out = clip.with_name("single.mp4")
    upscale_video(clip, out, upscaler=engine)
    return out.read_bytes()


@pytest.fixture(scope="module")
def engine():
    from espcn_demo.upscaler import open_upscaler

    return open_upscaler(**ENGINE)


class Run:
    """One call of `espcn`, watched while it goes on."""

    def __init__(self, cluster, verb, source, out, *, cwd=None):
        engine = [word for name, value in ENGINE.items() for word in (f"--{name}", value)]
        where = [str(source), str(out), "--on", cluster.address]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "espcn_demo", verb, *where, *engine, "--json", "--verbose"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=cluster.environment(),
            cwd=cwd,
        )
        self.lines: list[str] = []
        self._news = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        with self.process.stderr as stream:
            for line in stream:
                with self._news:
                    self.lines.append(line.rstrip())
                    self._news.notify_all()
        with self._news:
            self._news.notify_all()

    def wait_for(self, pattern, *, count=1, timeout=120.0):
        """The matches of a line on stderr, once there are `count`."""
        until = time.monotonic() + timeout
        with self._news:
            while True:
                found = [match for line in self.lines if (match := re.search(pattern, line))]
                if len(found) >= count:
                    return found
                assert time.monotonic() < until and (self._reader.is_alive() or self.process.poll() is None), self.lines
                self._news.wait(0.5)

    def report(self, *, code=0, timeout=200.0):
        output = self.process.stdout.read()
        self.process.stdout.close()
        assert self.process.wait(timeout) == code, self.lines
        self._reader.join(10)
        return json.loads(output)


def ended(pid):
    until = time.monotonic() + GONE
    while time.monotonic() < until:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    return False


def test_a_clip_is_the_same_when_a_worker_is_killed_in_the_middle(cluster, clip, single, tmp_path):
    run = Run(cluster, "video", clip, tmp_path / "out.mp4")
    first = run.wait_for(r"segment \d+ of pan.mp4 goes to process (\d+)")[0]
    os.kill(int(first[1]), signal.SIGKILL)
    report = run.report()
    assert (tmp_path / "out.mp4").read_bytes() == single
    assert report["frames"] == FRAMES and report["audio"] == "copied"
    share = report["cluster"]
    reasons = [retry["reason"] for retry in share["retries"]]
    assert "its process died" in reasons
    assert all(reason == "its process died" or reason.startswith("slow") for reason in reasons)  # slow: a busy machine
    assert share["sources"] == "shared path" and share["workers"] >= 2
    assert sum(node["frames"] for node in share["nodes"]) == FRAMES
    assert all(node["per_second"] > 0 for node in share["nodes"] if node["tasks"])
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


def test_a_folder_of_pictures_that_the_workers_cannot_see(cluster, engine, tmp_path):
    from PIL import Image
    from skimage.data import astronaut

    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for index in range(20):
        window = np.ascontiguousarray(astronaut()[10 * index : 10 * index + 40 + index, 100:150])
        Image.fromarray(window).save(pictures / f"{index:02d}.png")
    (pictures / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nno picture")
    # The head's working folder: for a worker the same path means its own.
    run = Run(cluster, "image", "/proc/self/cwd/pictures", tmp_path / "out", cwd=tmp_path)
    report = run.report(code=2)  # for the broken one
    upscale_folder(pictures, tmp_path / "single", upscaler=engine)
    for index in range(20):
        name = f"{index:02d}.png"
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "single" / name).read_bytes()
    assert len(report["files"]) == 20 and [Path(one["input"]).name for one in report["failed"]] == ["broken.png"]
    share = report["cluster"]
    assert share["sources"] == "object store"
    assert any(re.search(r"node 127.0.0.\d .* cannot read /proc/self/cwd/", note) for note in share["notes"])


def test_interrupting_cancels_the_remote_work_and_leaves_nothing(cluster, clip, tmp_path):
    run = Run(cluster, "video", clip, tmp_path / "out.mp4")
    pids = [int(match[1]) for match in run.wait_for(r"goes to process (\d+)", count=2)]
    run.process.send_signal(signal.SIGINT)
    assert run.process.wait(GONE) == 130, run.lines
    run.process.stdout.close()
    assert all(ended(pid) for pid in pids)
    assert list(tmp_path.iterdir()) == []


def test_a_node_leaves_and_the_cluster_goes_on(cluster, clip, single, tmp_path):
    """The last test: the cluster has one node less afterwards."""
    run = Run(cluster, "video", clip, tmp_path / "out.mp4")
    run.wait_for(r"goes to process \d+ on node 127.0.0.4")
    cluster.kill_node(1)
    report = run.report()
    assert report["frames"] == FRAMES
    assert "node 127.0.0.4" in {retry["node"].split(" (")[0] for retry in report["cluster"]["retries"]}
    assert (tmp_path / "out.mp4").read_bytes() == single


def test_nobody_answers(tmp_path, clip):
    from espcn_demo.cluster import upscale_video as on_cluster
    from espcn_demo.errors import InputError

    begin = time.monotonic()
    with pytest.raises(InputError, match="no Ray cluster can be reached at 127.0.0.2:1 "):
        on_cluster(clip, tmp_path / "out.mp4", on="ray://127.0.0.2:1")
    assert time.monotonic() - begin < 60 and list(tmp_path.iterdir()) == []
