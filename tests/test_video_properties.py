"""Clips of any size, rate, format and stream layout come through whole."""

import subprocess
import sys
import tempfile
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from espcn_demo.video import upscale_video
from tests.clips import decoded, photo_frame, plane, times, tone, write
from tests.stand_ins import Nearest

FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p10le", "gray", "bgr0", "yuv410p", "yuv411p"]
RATES = [Fraction(24000, 1001), Fraction(25), Fraction(30000, 1001), Fraction(50), Fraction(1), Fraction(12)]


@pytest.mark.slow
@settings(
    max_examples=10, deadline=None, derandomize=True, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    count=st.integers(1, 9),
    rate=st.sampled_from(RATES),
    pix_fmt=st.sampled_from(FORMATS),
    gaps=st.lists(st.integers(1, 5), min_size=9, max_size=9),
    tracks=st.integers(0, 2),
    out=st.sampled_from([".mp4", ".mkv", ".mov"]),
    codec=st.sampled_from(["h264", "av1", "vp9"]),
)
def test_any_clip(width, height, count, rate, pix_fmt, gaps, tracks, out, codec):
    assume(codec != "av1" or min(width, height) >= 32)  # SVT-AV1 takes no smaller frames
    base = Fraction(1, 1000)
    stamps = [round(sum(gaps[:index]) / rate / base) for index in range(count)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def extra(container):
            return [
                packet for track in range(tracks) for packet in tone(container, seconds=0.2, hertz=300 + 100 * track)
            ]

        frames = [photo_frame(index, width, height, pix_fmt) for index in range(count)]
        source = write(folder / "in.mkv", frames, codec="ffv1", rate=rate, times=stamps, time_base=base,
                       options={"level": "1"}, extra=extra)  # fmt: skip
        report = upscale_video(source, folder / f"out{out}", upscaler=Nearest(), codec=codec, crf=8)
        before, after = times(source), times(folder / f"out{out}")
        assert len(before) == len(after) == report.frames == count
        assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= base
        frame = decoded(folder / f"out{out}")[-1]
        assert (frame.width, frame.height) == (2 * width, 2 * height)
        with av.open(str(folder / f"out{out}")) as container:
            assert len(container.streams.audio) == tracks
        assert report.audio == ("copied" if tracks else "none")
        if pix_fmt.startswith("yuv4") and not pix_fmt.endswith("10le"):
            wanted = plane(decoded(source)[-1], 0).astype(float)
            assert abs(plane(frame, 0).astype(float).mean() - wanted.mean()) < 4
        assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


MEASURE = """
import re, sys
from pathlib import Path
from espcn_demo.video import upscale_video
from tests.stand_ins import Nearest
class Plain(Nearest):
    def upscale(self, frames, *, white=None):
        return frames.repeat(2, 1).repeat(2, 2)
report = upscale_video(sys.argv[1], sys.argv[2], upscaler=Plain())
print(report.frames, re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text()).group(1))
"""


def memory(source, out):
    """Frames and the most memory that a process of its own took, MiB."""
    run = subprocess.run([sys.executable, "-c", MEASURE, source, out], check=True, capture_output=True, text=True)
    frames, kibi = run.stdout.split()
    return int(frames), int(kibi) / 1024


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_memory_does_not_grow_with_length(tmp_path):
    short = write(tmp_path / "short.mkv", [photo_frame(i % 90, 32, 24) for i in range(300)], rate=30,
                  time_base=Fraction(1, 30), options={"bf": "0"}, extra=lambda c: tone(c, seconds=9.9))  # fmt: skip
    with av.open(str(tmp_path / "long.mkv"), "w") as out, av.open(str(short)) as template:
        streams = [out.add_stream_from_template(stream) for stream in template.streams]
        for turn in range(60):
            with av.open(str(short)) as again:
                for packet in again.demux():
                    if packet.size:
                        packet.pts += 10000 * turn
                        packet.dts = packet.pts
                        packet.stream = streams[packet.stream.index]
                        out.mux(packet)
    few, little = memory(short, tmp_path / "a.mp4")
    many, much = memory(tmp_path / "long.mkv", tmp_path / "b.mp4")
    assert few == 300 and many == 18000
    assert much < little + 50


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc")
def test_full_hd_stays_under_two_gibibytes(tmp_path):
    frame = av.VideoFrame(1920, 1080, "yuv420p")
    for index in range(3):
        samples = plane(frame, index)
        samples[:] = np.random.default_rng(index).integers(16, 235, samples.shape, np.uint8)
    frames = [frame] * 30
    source = write(tmp_path / "in.mp4", frames, options={"preset": "ultrafast"})
    count, most = memory(source, tmp_path / "out.mp4")
    assert count == 30 and most < 2048
