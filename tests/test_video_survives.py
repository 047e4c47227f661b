"""Killed, stopped, out of disk, out of folder, out of frames: nothing half done is ever called a result."""

import errno
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from fractions import Fraction

import av
import numpy as np
import pytest

from espcn_demo.errors import InputError
from espcn_demo.video import Cancelled, upscale_video
from tests.clips import decoded, photo_frame, plane, times, tone, write
from tests.stand_ins import Failing, Nearest


def clip(path, count=30, **more):
    return write(path, [photo_frame(index) for index in range(count)], **more)


def left(folder):
    return sorted(path.name for path in folder.iterdir())


def digest(path):
    """Of all decoded frames and their times."""
    found = hashlib.sha256()
    for frame in decoded(path):
        found.update(f"{frame.pts * frame.time_base}".encode())
        for index in range(3):
            found.update(np.ascontiguousarray(plane(frame, index)))
    return found.hexdigest()


@pytest.fixture
def small_segments(monkeypatch):
    from espcn_demo.video import clip

    monkeypatch.setattr(clip, "segment_frames", lambda width, height, batch: 5)
    monkeypatch.setattr(clip, "batch_frames", lambda width, height: 2)


class Interrupts(Nearest):
    """Breaks after 12 frames, as soon as the two full segments before them are on disk."""

    def __init__(self, folder):
        super().__init__()
        self.left, self.manifest = 12, folder / ".out.mp4.espcn" / "manifest.json"

    def upscale(self, frames, *, white=None):
        self.left -= len(frames)
        if self.left < 0:
            deadline = time.monotonic() + 60
            while len(json.loads(self.manifest.read_text())["segments"]) < 2 and time.monotonic() < deadline:
                time.sleep(0.01)
            raise OSError(errno.EIO, "broken")
        return super().upscale(frames, white=white)


def test_resume_goes_on_where_the_run_stopped(tmp_path, small_segments):
    source = clip(tmp_path / "in.mp4", 23)
    upscale_video(source, tmp_path / "whole.mp4", upscaler=Nearest())
    with pytest.raises(InputError, match="--resume"):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Interrupts(tmp_path), resume=True)
    assert left(tmp_path) == [".out.mp4.espcn", "in.mp4", "whole.mp4"]
    engine = Nearest()
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=engine, resume=True)
    assert report.resumed == 10 and sum(shape[0] for shape in engine.shapes) == 13 and report.frames == 23
    assert left(tmp_path) == ["in.mp4", "out.mp4", "whole.mp4"]
    assert (tmp_path / "out.mp4").read_bytes() == (tmp_path / "whole.mp4").read_bytes()


def test_resume_takes_nothing_of_another_run(tmp_path, small_segments):
    source = clip(tmp_path / "in.mp4", 23)
    with pytest.raises(InputError):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Interrupts(tmp_path), resume=True)
    other = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), crf=20, resume=True)
    assert other.resumed == 0 and other.frames == 23


@pytest.mark.parametrize("damage", ["segment", "manifest"])
def test_resume_believes_nothing_damaged(tmp_path, small_segments, damage):
    source = clip(tmp_path / "in.mp4", 23)
    with pytest.raises(InputError):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Interrupts(tmp_path), resume=True)
    folder = tmp_path / ".out.mp4.espcn"
    target = folder / ("manifest.json" if damage == "manifest" else "000001.segment")
    target.write_bytes(target.read_bytes()[:50])
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), resume=True)
    assert report.resumed == (0 if damage == "manifest" else 5) and report.frames == 23


@pytest.mark.slow
def test_killed_at_random_moments(tmp_path):
    """kill -9, again and again with --resume, ends in the frames of an undisturbed run."""
    source = clip(tmp_path / "in.mp4", 120, rate=Fraction(30000, 1001), extra=lambda c: tone(c, seconds=4.0))
    program = (
        "import sys, time, pathlib\n"
        "from espcn_demo.video import clip, upscale_video\n"
        "from tests.stand_ins import Nearest\n"
        "clip.segment_frames = lambda width, height, batch: 8\n"
        "clip.batch_frames = lambda width, height: 4\n"
        "class Slow(Nearest):\n"
        "    def upscale(self, frames, *, white=None):\n"
        "        time.sleep(0.02)\n"
        "        return super().upscale(frames, white=white)\n"
        "print('go', flush=True)\n"
        "report = upscale_video(sys.argv[1], sys.argv[2], upscaler=Slow(), resume=True)\n"
        "print(report.resumed)\n"
    )
    command = [sys.executable, "-c", program, str(source)]
    subprocess.run([*command, str(tmp_path / "whole.mp4")], check=True, capture_output=True, timeout=120)
    moments = random.Random(5)
    kills = 0
    for _ in range(10):
        with subprocess.Popen([*command, str(tmp_path / "out.mp4")], stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout.readline() == "go\n"
            time.sleep(moments.uniform(0.0, 0.6))
            kills += run.poll() is None
            run.send_signal(signal.SIGKILL)
    final = subprocess.run(
        [*command, str(tmp_path / "out.mp4")], check=True, capture_output=True, text=True, timeout=120
    )
    assert kills >= 5 and int(final.stdout.split()[-1]) >= 0
    assert digest(tmp_path / "out.mp4") == digest(tmp_path / "whole.mp4")
    assert left(tmp_path) == ["in.mp4", "out.mp4", "whole.mp4"]


def test_cancel_leaves_nothing(tmp_path, small_segments):
    source, stop, seen = clip(tmp_path / "in.mp4"), threading.Event(), []

    def on_progress(progress):
        seen.append(progress)
        stop.set()

    with pytest.raises(Cancelled):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), on_progress=on_progress, cancelled=stop)
    assert left(tmp_path) == ["in.mp4"]
    assert 0 < seen[0].frames < 30 and seen[0].total == 30 and seen[0].latest.shape == (96, 128)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("a defect"), InputError("no engine"), MemoryError()]
)
def test_whatever_the_engine_raises_leaves_nothing(tmp_path, error):
    source = clip(tmp_path / "in.mp4")
    with pytest.raises(type(error)):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Failing(error))
    assert left(tmp_path) == ["in.mp4"]
    assert threading.active_count() < 10


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_full_disk_is_one_sentence(tmp_path, monkeypatch):
    from espcn_demo.video import segments

    source, opened = clip(tmp_path / "in.mp4"), av.open

    def full(name, mode="r", **more):
        return opened("/dev/full" if mode == "w" else name, mode, **more)

    monkeypatch.setattr(segments.SegmentWriter, "_open", staticmethod(lambda path, form: full(path, "w", format=form)))
    with pytest.raises(InputError, match="disk is full"):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert left(tmp_path) == ["in.mp4"]


def test_vanished_folder_is_one_sentence(tmp_path, small_segments):
    import shutil

    source = clip(tmp_path / "in.mp4")
    folder = tmp_path / "results"
    folder.mkdir()

    def vanish(progress):
        shutil.rmtree(folder, ignore_errors=True)

    with pytest.raises(InputError, match="disappeared"):
        upscale_video(source, folder / "out.mp4", upscaler=Nearest(), on_progress=vanish)
    assert left(tmp_path) == ["in.mp4"]


def test_encoder_that_does_not_open_is_one_sentence(tmp_path):
    source = clip(tmp_path / "in.mp4", 3)
    with pytest.raises(InputError, match="preset"):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), preset="warp")
    tiny = write(tmp_path / "tiny.mkv", [photo_frame(0, 2, 2)] * 2, codec="ffv1", options={"level": "1"})
    with pytest.raises(InputError, match="h264"):
        upscale_video(tiny, tmp_path / "out.mp4", upscaler=Nearest(), codec="hevc")
    assert left(tmp_path) == ["in.mp4", "tiny.mkv"]


def test_a_frame_that_does_not_decode_repeats_the_one_before(tmp_path):
    source = clip(tmp_path / "good.mkv", 20, codec="ffv1", options={"level": "3", "slicecrc": "1", "slices": "4"})
    with av.open(str(source)) as before, av.open(str(tmp_path / "in.mkv"), "w") as after:
        stream = after.add_stream_from_template(before.streams.video[0])
        for index, packet in enumerate(before.demux(video=0)):
            if packet.size:
                if index == 10:
                    broken = av.Packet(b"\x00" * 10)
                    broken.pts, broken.dts, broken.time_base = packet.pts, packet.dts, packet.time_base
                    packet = broken
                packet.stream = stream
                after.mux(packet)
    report = upscale_video(tmp_path / "in.mkv", tmp_path / "out.mp4", upscaler=Nearest())
    assert report.frames == 20 and report.damaged == 1 and any(": 1" in note for note in report.notes)
    assert len(times(tmp_path / "out.mp4")) == 20
    frames = [plane(frame, 0).astype(int) for frame in decoded(tmp_path / "out.mp4")]
    assert np.abs(frames[10] - frames[9]).mean() < 1 < np.abs(frames[9] - frames[8]).mean()


def test_a_truncated_clip_gives_what_is_there(tmp_path):
    source = clip(tmp_path / "good.ts", 40, time_base=Fraction(1, 90000))
    data = source.read_bytes()
    (tmp_path / "in.ts").write_bytes(data[: len(data) * 6 // 10])
    report = upscale_video(tmp_path / "in.ts", tmp_path / "out.mp4", upscaler=Nearest())
    assert 10 < report.frames < 40


def test_a_clip_without_frames_is_refused(tmp_path):
    source = clip(tmp_path / "good.mp4", 5, container_options={"movflags": "+faststart"})
    data = source.read_bytes()
    at = data.index(b"mdat") + 4
    (tmp_path / "in.mp4").write_bytes(data[:at])
    with pytest.raises(InputError, match="no frame"):
        upscale_video(tmp_path / "in.mp4", tmp_path / "out.mp4", upscaler=Nearest())
    with pytest.raises(InputError, match="start"):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), start=7.0)
    assert left(tmp_path) == ["good.mp4", "in.mp4"]


@pytest.mark.parametrize("case", ["same", "folder", "missing folder", "suffix", "codec", "crf", "start", "duration"])
def test_bad_options_are_one_sentence(tmp_path, case):
    source = clip(tmp_path / "in.mp4", 3)
    out = {
        "same": source,
        "folder": tmp_path,
        "missing folder": tmp_path / "no" / "out.mp4",
        "suffix": tmp_path / "a.xyz",
    }
    options = {
        "codec": {"codec": "h265"},
        "crf": {"crf": 99},
        "start": {"start": float("nan")},
        "duration": {"duration": 0},
    }
    with pytest.raises(InputError) as caught:
        upscale_video(source, out.get(case, tmp_path / "out.mp4"), upscaler=Nearest(), **options.get(case, {}))
    assert "\n" not in str(caught.value) and left(tmp_path) == ["in.mp4"]


def test_a_black_or_short_result_is_refused(tmp_path):
    from espcn_demo.video.verify import Expected, Unsound, verify

    dark = av.VideoFrame(64, 48, "yuv420p")
    for index, value in enumerate((16, 128, 128)):
        plane(dark, index)[:] = value
    result = write(tmp_path / "out.mp4", [dark] * 5)
    good = Expected(5, Fraction(4, 25), 0.1, 0.1)
    verify(result, good)
    for bad in (
        Expected(6, Fraction(4, 25), None, None),
        Expected(5, Fraction(2), None, None),
        Expected(5, Fraction(4, 25), 0.5, 0.5),
    ):
        with pytest.raises(Unsound):
            verify(result, bad)
    (tmp_path / "broken.mp4").write_bytes(result.read_bytes()[:300])
    with pytest.raises(Unsound):
        verify(tmp_path / "broken.mp4", good)


def test_the_manifest_says_what_it_belongs_to(tmp_path, small_segments):
    source = clip(tmp_path / "in.mp4", 14)
    with pytest.raises(InputError):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Interrupts(tmp_path), resume=True)
    manifest = json.loads((tmp_path / ".out.mp4.espcn" / "manifest.json").read_text())
    assert manifest["key"]["input"]["bytes"] == source.stat().st_size
    assert manifest["key"]["engine"]["name"] == "nearest" and manifest["key"]["settings"]["crf"] == "18"
    assert [segment["frames"] for segment in manifest["segments"]] == [5, 5]


def test_an_encoder_that_fails_is_one_sentence(tmp_path, monkeypatch):
    from av.error import ExternalError

    from espcn_demo.video.segments import SegmentWriter

    def fail(self, frame):
        raise ExternalError(-1, "the encoder broke")

    source = clip(tmp_path / "in.mp4", 5)
    monkeypatch.setattr(SegmentWriter, "write", fail)
    with pytest.raises(InputError, match="could not be written"):
        upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert left(tmp_path) == ["in.mp4"]
