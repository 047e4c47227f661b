"""What lies between the machines: shelves of finished segments, sources, versions and cores; no Ray."""

from __future__ import annotations

import os
import subprocess
import sys
from subprocess import PIPE

import pytest

from espcn_demo.cluster import cores, sources, versions
from espcn_demo.cluster.job import next_index
from espcn_demo.cluster.shelf import Shelf
from espcn_demo.video.segments import Segment


def segment(index, size=4):
    return Segment("made.segment", size, 8, 8 * index, 8 * index + 7, 1, 0)


def test_a_shelf_takes_segments_in_any_order_and_resumes_with_gaps(tmp_path):
    shelf = Shelf(tmp_path / "out.mp4", {"a": 1})
    shelf.open(resume=False)
    for index in (2, 0, 5):
        shelf.put(index, segment(index), bytes([index] * 4))
    assert [one.first for one in shelf.segments] == [0] and sorted(shelf.ahead) == [2, 5]
    assert shelf.made == 24 and shelf.holds(2) and not shelf.holds(1)

    again = Shelf(tmp_path / "out.mp4", {"a": 1})
    again.open(resume=True)
    assert len(again.segments) == 1 and sorted(again.ahead) == [2, 5]
    again.put(1, segment(1), b"\x01" * 4)
    assert [one.first for one in again.segments] == [0, 8, 16]
    assert [(again.folder / one.file).read_bytes()[0] for one in again.segments] == [0, 1, 2]

    other = Shelf(tmp_path / "out.mp4", {"a": 2})
    other.open(resume=True)
    assert other.made == 0 and [path.name for path in other.folder.iterdir()] == ["manifest.json"]


def test_a_run_on_one_machine_goes_on_from_a_shelf(tmp_path):
    from espcn_demo.video.segments import Workshop

    shelf = Shelf(tmp_path / "out.mp4", {"a": 1})
    shelf.open(resume=False)
    for index in (0, 2):
        shelf.put(index, segment(index), bytes([index] * 4))
    workshop = Workshop(tmp_path / "out.mp4", {"a": 1})
    workshop.open(resume=True)
    assert [one.first for one in workshop.segments] == [0]


def test_a_cut_segment_is_not_resumed(tmp_path):
    shelf = Shelf(tmp_path / "out.mp4", {})
    shelf.open(resume=False)
    shelf.put(3, segment(3), b"\x03" * 4)
    (shelf.folder / "000003.segment").write_bytes(b"\x03")
    again = Shelf(tmp_path / "out.mp4", {})
    again.open(resume=True)
    assert again.made == 0


def test_workers_stay_in_their_stretch_of_a_clip():
    """Four workers on a clip of 100 segments: each goes somewhere else a few times only."""
    free, cursors, jumps = list(range(100)), {}, 0
    for turn in range(100):
        worker = turn % 4
        index = next_index(free, cursors, worker)
        jumps += index != cursors.get(worker, -2) + 1
        cursors[worker] = index
        free.remove(index)
    assert not free and jumps <= 12


@pytest.mark.parametrize(
    ("free", "cursors", "expected"),
    [
        ([0, 1, 2, 3], {}, 0),
        ([1, 2, 3], {7: 0}, 1),
        ([1, 2, 3, 4], {8: 0}, 3),
        ([2, 3, 9], {8: 1}, 9),
        ([5], {8: 4}, 5),
    ],
)
def test_which_segment_a_worker_takes(free, cursors, expected):
    assert next_index(free, cursors, 7) == expected


def test_a_source_is_recognised_by_content_not_by_name(tmp_path):
    path = tmp_path / "clip.mp4"
    path.write_bytes(os.urandom(5000))
    source = sources.describe(path)
    assert sources.why_unseen(source, node="n") is None
    path.write_bytes(os.urandom(5000))
    assert sources.why_unseen(source, node="n") == f"n has another file at {path}"
    path.unlink()
    assert sources.why_unseen(source, node="n") == f"n cannot read {path} (No such file or directory)"


def test_a_source_is_cut_into_parts(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "PART", 1000)
    path = tmp_path / "clip.mp4"
    path.write_bytes(data := os.urandom(2500))
    parts = list(sources.parts_of(path))
    assert [len(part) for part in parts] == [1000, 1000, 500] and b"".join(parts) == data


def test_versions_that_differ_are_named():
    ours = versions.versions()
    assert versions.differences(ours) == ""
    assert versions.differences({**ours, "av": "1.0"}) == f"av {ours['av']} instead of 1.0"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity on this system")
def test_workers_share_no_core():
    code = (  # run by its path: importing the package would take seconds
        "import runpy, sys\nprint(*runpy.run_path(sys.argv[1])['keep_to_cores'](1), flush=True)\nsys.stdin.read()"
    )
    count = len(os.sched_getaffinity(0))
    workers = [
        subprocess.Popen([sys.executable, "-c", code, cores.__file__], stdin=PIPE, stdout=PIPE, text=True)
        for _ in range(count + 1)
    ]
    found = [worker.stdout.readline().split() for worker in workers]
    for worker in workers:
        worker.communicate("")
    given = [core for one in found for core in one]
    assert len(given) == len(set(given)) <= count  # other runs on this machine may hold some
    assert [] in found  # one more than there are cores


@pytest.mark.parametrize("count", [0.5, 0, 1.5, 10_000])
def test_no_cores_of_ones_own_where_that_cannot_be(count):
    before = os.sched_getaffinity(0)
    assert cores.keep_to_cores(count) == () and os.sched_getaffinity(0) == before
