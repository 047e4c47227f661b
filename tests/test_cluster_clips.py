"""Segments made by workers in any order are those of a run on one machine; no Ray, the workers live in this process."""

from __future__ import annotations

import itertools
import random
import threading
from collections import Counter

import av
import numpy as np
import pytest
from skimage.data import astronaut

from espcn_demo.cluster import job as jobs
from espcn_demo.cluster import worker as workers
from espcn_demo.cluster.dispatch import Dispatcher
from espcn_demo.cluster.events import Failed, Finished, Started
from espcn_demo.cluster.index import Astray, Index, read_index
from espcn_demo.cluster.job import ClipJob
from espcn_demo.cluster.reel import Reel
from espcn_demo.cluster.report import Tally
from espcn_demo.cluster.run import _kept
from espcn_demo.cluster.tasks import Facts, Piece, Setup, Unseen, WeightsFile
from espcn_demo.cluster.versions import versions
from espcn_demo.cluster.work import Clips
from espcn_demo.cluster.worker import Worker
from espcn_demo.errors import InputError
from espcn_demo.video import clip as clips
from espcn_demo.video import upscale_video
from espcn_demo.video.settings import check_settings
from espcn_demo.weights import resolve
from tests.stand_ins import Nearest

SEGMENT = 16


@pytest.fixture(autouse=True)
def small_segments(monkeypatch):
    monkeypatch.setattr(clips, "segment_frames", lambda width, height, batch: SEGMENT)
    monkeypatch.setattr(workers, "open_upscaler", lambda **_: Nearest(2))
    monkeypatch.setattr(workers, "keep_to_cores", lambda count: ())


def write(path, codec, *, frames=100, options=None):
    """A panned photograph with key frames every 10 frames and B frames where the codec has them."""
    picture = astronaut()
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options=options or {})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.gop_size = 10
        for index in range(frames):
            window = np.ascontiguousarray(picture[40 + index : 88 + index, 120 + index : 184 + index])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(window, "rgb24")))
        container.mux(stream.encode(None))
    return path


def setup():
    weights = resolve("espcn_x2")
    return Setup(2, WeightsFile("espcn_x2", weights.sha256), "torch", None, "fast", 1.0, versions())


def make(path, out, order, *, count=3, resume=False, stop_after=None):
    """Make a clip with `count` workers, each piece by the one that `order` (a Random) picks; how often they sought."""
    crew = [Worker(setup(), f"test-{path.stem}") for _ in range(count)]
    for number, one in enumerate(crew):
        one.start(f"node {number}")
    tally = Tally()
    tally.accept(Facts("node", "host", 1, Nearest(2).name, "chosen"))
    settings = check_settings(out, codec="h264", crf=18, preset=None, start=None, duration=None)
    job = ClipJob(0, path, out, settings, setup=setup(), limits=None)
    done = 0
    try:
        job.start(tally, resume=resume)
        while not job.complete:
            pieces = []
            while (piece := job.next(order.randrange(count))) is not None:
                pieces.append(piece)
            assert pieces, "nothing to do and not complete"
            order.shuffle(pieces)
            for piece in pieces:
                made, data = order.choice(crew).make(piece)
                job.add(piece, made, data)
                done += 1
                if done == stop_after:
                    return job
        return job.finish(tally)
    finally:
        job.close(keep=True)
        for one in crew:
            one.leave()


@pytest.fixture
def seeks(monkeypatch):
    """How often reels sought, and how often in vain."""
    count = Counter()
    seek = Reel.seek

    def counted(self, *arguments):
        count["sought"] += 1
        try:
            seek(self, *arguments)
        except Astray:
            count["in vain"] += 1
            raise

    monkeypatch.setattr(Reel, "seek", counted)
    return count


@pytest.mark.parametrize(
    ("name", "codec", "options"),
    [
        ("plain.mp4", "libx264", {}),
        ("open-gop.mkv", "libx264", {"x264-params": "open-gop=1:bframes=3:keyint=10:min-keyint=2"}),
        pytest.param("refresh.mp4", "libx264", {"x264-params": "intra-refresh=1:keyint=10"}, marks=pytest.mark.slow),
        pytest.param(
            "open-gop.mp4",
            "libx265",
            {"x265-params": "open-gop=1:keyint=10:bframes=4:log-level=none"},
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "nine.webm",
            "libvpx-vp9",
            {"deadline": "realtime", "auto-alt-ref": "1", "lag-in-frames": "10"},
            marks=pytest.mark.slow,
        ),
        pytest.param("eight.webm", "libvpx", {"deadline": "realtime"}, marks=pytest.mark.slow),
        ("stream.ts", "libx264", {}),
        pytest.param("old.avi", "mpeg4", {"bf": "2"}, marks=pytest.mark.slow),
        pytest.param("old.mpg", "mpeg2video", {"bf": "2"}, marks=pytest.mark.slow),
        pytest.param("pictures.mov", "mjpeg", {}, marks=pytest.mark.slow),
    ],
)
def test_any_order_gives_the_same_file(tmp_path, seeks, name, codec, options):
    path = write(tmp_path / name, codec, options=options)
    single = upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2))
    report = make(path, tmp_path / "out.mp4", random.Random(name))
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "single.mp4").read_bytes()
    assert report.frames == 100 and report.damaged == 0 and report.notes == single.notes
    assert report.cluster.engine == Nearest(2).name
    if name in ("plain.mp4", "pictures.mov"):
        assert seeks["sought"] > 0 and seeks["in vain"] == 0


def test_a_wrong_index_is_noticed_and_the_clip_read_from_its_beginning(tmp_path, monkeypatch):
    path = write(tmp_path / "in.mp4", "libx264")
    upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2))
    good = read_index(path)
    wrong = Index([*good.times[:50], *good.times[51:]], good.keys)
    monkeypatch.setattr(jobs, "read_index", lambda *_, **__: wrong)
    make(path, tmp_path / "out.mp4", random.Random(1))
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "single.mp4").read_bytes()


def test_a_damaged_clip_comes_out_as_on_one_machine(tmp_path):
    path = write(tmp_path / "in.mkv", "libx264")
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    path.write_bytes(data)
    single = upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2))
    report = make(path, tmp_path / "out.mp4", random.Random(2))
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "single.mp4").read_bytes()
    assert (report.frames, report.damaged) == (single.frames, single.damaged) and report.notes == single.notes


def test_what_is_finished_is_taken_over_and_the_rest_made(tmp_path):
    path = write(tmp_path / "in.mp4", "libx264")
    upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2))
    make(path, tmp_path / "out.mp4", random.Random(3), stop_after=4)
    report = make(path, tmp_path / "out.mp4", random.Random(4), resume=True)
    assert report.resumed >= 3 * SEGMENT
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "single.mp4").read_bytes()
    assert sorted(one.name for one in tmp_path.iterdir()) == ["in.mp4", "out.mp4", "single.mp4"]


def test_a_part_of_a_clip(tmp_path):
    path = write(tmp_path / "in.mp4", "libx264")
    upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2), start=0.5, duration=3)
    settings = check_settings(tmp_path / "out.mp4", codec="h264", crf=18, preset=None, start=0.5, duration=3)
    worker, tally = Worker(setup(), "part"), Tally()
    worker.start("node")
    tally.accept(Facts("node", "host", 1, Nearest(2).name, "chosen"))
    job = ClipJob(0, path, tmp_path / "out.mp4", settings, setup=setup(), limits=None)
    job.start(tally, resume=False)
    while not job.complete:
        piece = job.next(0)
        job.add(piece, *worker.make(piece))
    job.finish(tally)
    job.close(keep=False)
    worker.leave()
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "single.mp4").read_bytes()


def test_a_worker_with_other_versions_or_weights_does_not_start():
    ours = setup()
    other = Setup(2, ours.weights, "torch", None, "fast", 1.0, {**versions(), "av": "1.0"})
    with pytest.raises(InputError, match=r"node 7 has av .* instead of 1.0: install the same versions"):
        Worker(other, "x").start("node 7")
    weights = WeightsFile("espcn_x2", "0" * 64)
    with pytest.raises(InputError, match="node 7 has other weights called espcn_x2"):
        Worker(Setup(2, weights, "torch", None, "fast", 1.0, versions()), "x").start("node 7")


def test_a_worker_says_why_it_cannot_read_a_source(tmp_path):
    path = write(tmp_path / "in.mp4", "libx264", frames=20)
    settings = check_settings(tmp_path / "out.mp4", codec="h264", crf=18, preset=None, start=None, duration=None)
    job = ClipJob(0, path, tmp_path / "out.mp4", settings, setup=setup(), limits=None)
    tally = Tally()
    tally.accept(Facts("node", "host", 1, Nearest(2).name, "chosen"))
    job.start(tally, resume=False)
    piece = job.next(0)
    job.close(keep=False)
    assert isinstance(piece, Piece)
    path.rename(tmp_path / "elsewhere.mp4")
    worker = Worker(setup(), "x")
    worker.start("node 7")
    answer, data = worker.make(piece)
    worker.leave()
    assert answer == Unseen(f"node 7 cannot read {path} (No such file or directory)") and data == b""


class Crowd:
    """Real workers in this process behind the crew's contract; `fails` decides which piece fails, and how."""

    def __init__(self, count, fails=lambda worker, piece: None):
        self.count, self.fails = count, fails
        self.workers, self.events = {}, []

    def hire(self):
        number = len(self.workers) + 1
        if number <= self.count:
            self.workers[number] = Worker(setup(), "crowd")
            self.events.append(Started(number, self.workers[number].start(f"node {number}")))
        return number

    def assign(self, worker, piece):
        if (failure := self.fails(worker, piece)) is not None:
            self.events.append(Failed(worker, failure, gone=True))
            return
        result, data = self.workers[worker].make(piece)
        self.events.append(Finished(worker, result, lambda: data))

    def wait(self, seconds):
        events, self.events = self.events, []
        return events

    def dismiss(self, worker):
        if worker in self.workers:
            self.workers[worker].leave()

    def send(self, task):
        return task

    def forget(self, task):
        pass


def spread(clips_, tally, crowd, **options):
    try:
        Dispatcher(crowd, clips_, tally, workers=crowd.count, **options).run()
    finally:
        for worker in crowd.workers.values():
            worker.leave()


def opener(number, path, out):
    settings = check_settings(out, codec="h264", crf=18, preset=None, start=None, duration=None)
    return ClipJob(number, path, out, settings, setup=setup(), limits=None)


def test_a_folder_of_clips_one_of_them_bad(tmp_path):
    good = [write(tmp_path / f"{name}.mp4", "libx264", frames=frames) for name, frames in (("a", 40), ("c", 20))]
    (tmp_path / "b.mp4").write_text("no clip")
    pairs = [(path, tmp_path / "out" / path.name) for path in sorted(tmp_path.glob("*.mp4"))]
    seen, tally = [], Tally()
    work = Clips(pairs, tally, opener, resume=False, alone=False, on_progress=seen.append)
    spread(work, tally, Crowd(2))
    assert [report.frames for report in work.reports] == [40, 20]
    assert [failure.input for failure in work.failures] == [str(tmp_path / "b.mp4")]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.mp4", "c.mp4"]
    for path in good:
        upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2))
        assert (tmp_path / "out" / path.name).read_bytes() == (tmp_path / "single.mp4").read_bytes()
    assert seen and all(progress.fps > 0 for progress in seen) and seen[-1].frames == 60


def test_a_segment_that_fails_three_times_keeps_the_others(tmp_path):
    path = write(tmp_path / "in.mp4", "libx264")
    tally = Tally()
    work = Clips([(path, tmp_path / "out.mp4")], tally, opener, resume=False, alone=True)
    crowd = Crowd(8, fails=lambda worker, piece: "its process died" if piece.index == 5 else None)
    sentence = r"segment 6 of in.mp4 failed 3 times, .*its process died; .* --resume\.$"
    with pytest.raises(InputError, match=sentence), _kept(work):
        spread(work, tally, crowd)
    assert not (tmp_path / "out.mp4").exists() and len(tally.retries) == 3
    upscale_video(path, tmp_path / "single.mp4", upscaler=Nearest(2))
    report = make(path, tmp_path / "out.mp4", random.Random(5), resume=True)
    assert report.resumed >= 4 * SEGMENT
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "single.mp4").read_bytes()


def test_when_no_worker_is_left_the_finished_segments_are_kept(tmp_path, monkeypatch):
    path = write(tmp_path / "in.mp4", "libx264", frames=60)
    tally, clock = Tally(), itertools.count(0, 50)
    work = Clips([(path, tmp_path / "out.mp4")], tally, opener, resume=False, alone=True)
    crowd = Crowd(1, fails=lambda worker, piece: "its machine left the cluster" if piece.index == 2 else None)
    sentence = r"its machine left the cluster; what is finished was kept, .* --resume\.$"
    with pytest.raises(InputError, match=sentence), _kept(work):
        spread(work, tally, crowd, clock=lambda: next(clock))
    assert [one.name for one in tmp_path.iterdir() if one.name != "in.mp4"] == [".out.mp4.espcn"]


def test_cancelling_leaves_nothing(tmp_path):
    path = write(tmp_path / "in.mp4", "libx264", frames=60)
    tally, cancelled = Tally(), threading.Event()
    pairs = [(path, tmp_path / "out.mp4")]
    work = Clips(pairs, tally, opener, resume=False, alone=True, on_progress=lambda _: cancelled.set())
    with pytest.raises(InputError, match="cancelled"), _kept(work):
        spread(work, tally, Crowd(1), cancelled=cancelled)
    assert [one.name for one in tmp_path.iterdir()] == ["in.mp4"]


def test_when_nothing_was_made_nothing_is_left(tmp_path):
    path = write(tmp_path / "in.mp4", "libx264", frames=10)
    tally = Tally()
    work = Clips([(path, tmp_path / "out.mp4")], tally, opener, resume=False, alone=True)
    with pytest.raises(InputError, match="failed 3 times"), _kept(work):
        spread(work, tally, Crowd(4, fails=lambda worker, piece: "its process died"))
    assert [one.name for one in tmp_path.iterdir()] == ["in.mp4"]
