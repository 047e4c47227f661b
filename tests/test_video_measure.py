"""Scores of clips: equal to independent figures, matched by time, and written as JSON, CSV and a picture."""

import csv
import json
import subprocess
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from espcn_demo import metrics
from espcn_demo.errors import EngineError, InputError
from espcn_demo.video import vmaf
from espcn_demo.video.luma import Luma, read_luma
from espcn_demo.video.matching import Matching
from espcn_demo.video.measure import measure
from espcn_demo.video.quality import EQUAL, frame_psnr, frame_ssim


@pytest.fixture(scope="module")
def planes():
    from skimage.data import astronaut

    reference = astronaut()[20:116, 160:288, 1]
    noise = np.random.default_rng(0).normal(0, 6, reference.shape)
    return reference, np.clip(reference + noise, 0, 255).astype(np.uint8)


def write_planes(path, planes, *, times=None, pix_fmt="yuv420p", codec="ffv1", full=False, rotation=0):
    """A lossless clip of these luma planes (H, W) with neutral chroma, shown at `times` milliseconds."""
    height, width = planes[0].shape
    deep = "10" in pix_fmt
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        stream.codec_context.color_range = 2 if full else 1
        for index, plane in enumerate(planes):
            frame = av.VideoFrame(width, height, pix_fmt)
            for number, target in enumerate(frame.planes):
                view = np.frombuffer(target, np.uint16 if deep else np.uint8).reshape(target.height, -1)
                view[:, : target.width] = plane if number == 0 else 512 if deep else 128
            frame.pts, frame.time_base = times[index] if times else 40 * index, Fraction(1, 1000)
            frame.color_range = 2 if full else 1
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def test_frame_scores_equal_the_papers_definitions(planes):
    reference, result = planes
    assert frame_psnr(reference, result) == pytest.approx(metrics.psnr(reference, result, peak=255), abs=1e-4)
    assert frame_ssim(reference, result) == pytest.approx(metrics.ssim(reference, result, peak=255), abs=1e-4)
    assert frame_psnr(reference, reference) == EQUAL and frame_ssim(reference, reference) == pytest.approx(1, abs=1e-6)
    tiny = frame_ssim(reference[:8, :8], result[:8, :8])
    assert tiny == pytest.approx(metrics.ssim(reference[:8, :8], result[:8, :8], peak=255))


def test_a_clip_against_itself_is_perfect(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=5)
    found = measure(clip, clip)
    assert (found.frames, found.missing, found.extra) == (5, 0, 0)
    assert found.psnr == found.psnr_overall == found.psnr_worst == 100.0
    assert found.ssim == pytest.approx(1.0, abs=1e-6)
    assert found.vmaf is not None and found.vmaf > 90
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["per_frame"][4]["time"] == pytest.approx(0.16)


def test_scores_equal_those_of_ffmpeg(tmp_path, planes):
    reference, result = planes
    a = write_planes(tmp_path / "a.mkv", [reference] * 3)
    b = write_planes(tmp_path / "b.mkv", [result, reference, result])
    found = measure(a, b)
    log = tmp_path / "log"
    for name in ("psnr", "libvmaf"):
        option = f"stats_file={log}.psnr" if name == "psnr" else f"log_fmt=json:log_path={log}.vmaf"
        command = [vmaf.executable(), "-loglevel", "error", "-i", b, "-i", a, "-lavfi", f"[0][1]{name}={option}"]
        subprocess.run([*command, "-f", "null", "-"], check=True)
    psnr = [float(line.split("psnr_y:")[1].split()[0]) for line in (tmp_path / "log.psnr").read_text().splitlines()]
    assert [one.psnr for one in found.per_frame][::2] == pytest.approx(psnr[::2], abs=0.01)
    assert found.per_frame[1].psnr == 100.0
    theirs = json.loads((tmp_path / "log.vmaf").read_text())["frames"]
    assert [one.vmaf for one in found.per_frame] == pytest.approx([one["metrics"]["vmaf"] for one in theirs], abs=0.01)


def test_frames_are_matched_by_their_times(tmp_path, planes):
    reference, result = planes
    dark = np.full_like(reference, 20)
    a = write_planes(tmp_path / "a.mkv", [reference, dark, result, reference], times=[0, 40, 120, 200])
    # The result starts later, lacks the dark frame and has one in between.
    b = write_planes(tmp_path / "b.mkv", [reference, result, dark, reference], times=[5000, 5120, 5160, 5200])
    found = measure(a, b, vmaf=False)
    assert (found.frames, found.missing, found.extra) == (3, 1, 1)
    assert found.psnr_worst == 100.0 and "no partner" in found.text()
    assert [one.time for one in found.per_frame] == pytest.approx([0, 0.12, 0.2])


def test_leftover_frames_are_counted():
    frames = [Luma(0.04 * index, np.zeros((4, 4), np.uint8), 255, False) for index in range(6)]
    matching = Matching(iter(frames), iter(frames[:4]))
    assert len(list(matching)) == 4 and (matching.missing, matching.extra) == (2, 0)


def test_depth_and_range_are_brought_together(tmp_path, planes):
    limited = (16 + planes[0].astype(np.float64) * 219 / 255).round().astype(np.uint8)
    a = write_planes(tmp_path / "a.mkv", [limited])
    deep = write_planes(tmp_path / "deep.mkv", [limited.astype(np.uint16) * 4], pix_fmt="yuv420p10le")
    full = write_planes(tmp_path / "full.mkv", [planes[0]], full=True)
    assert measure(a, deep, vmaf=False).psnr == 100.0
    assert measure(a, full, vmaf=False).psnr > 55  # rounding of the limited one
    assert next(read_luma(deep)).white == 1023


def test_luma_of_rgb_and_rotated_clips(tmp_path, photo):
    path = tmp_path / "rgb.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "bgr0"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(photo, "rgb24").reformat(format="bgr0")))
        container.mux(stream.encode(None))
    luma = next(read_luma(path))
    expected = photo @ np.array([0.2126, 0.7152, 0.0722])
    assert luma.full_range and np.abs(luma.plane - expected).max() < 2
    turned = tmp_path / "turned.mp4"
    with av.open(str(turned), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        stream.set_display_rotation(90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(photo, "rgb24")))
        container.mux(stream.encode(None))
    assert next(read_luma(turned)).plane.shape == (128, 96)


def test_a_part_is_read_alone(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=50)
    part = list(read_luma(clip, start=1.0, duration=0.4))
    assert len(part) == 10 and part[0].time == pytest.approx(1.0)


@pytest.mark.slow
def test_csv_and_plot_hold_every_frame(tmp_path, planes):
    a = write_planes(tmp_path / "a.mkv", [planes[0]] * 3)
    b = write_planes(tmp_path / "b.mkv", [planes[1]] * 3)
    found = measure(a, b, csv=tmp_path / "out.csv", plot=tmp_path / "out.png")
    rows = list(csv.DictReader((tmp_path / "out.csv").read_text().splitlines()))
    assert [float(row["psnr"]) for row in rows] == pytest.approx([found.psnr] * 3, abs=1e-3)
    assert all(float(row["vmaf"]) == pytest.approx(found.vmaf, abs=1e-3) for row in rows)
    with Image.open(tmp_path / "out.png") as picture:
        assert picture.width > 800 and len(picture.convert("RGB").getcolors(1 << 24)) > 5


def test_without_matplotlib_the_plot_is_refused_first(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install matplotlib"):
        measure(tmp_path / "a.mp4", tmp_path / "b.mp4", plot=tmp_path / "out.png")


def test_different_sizes_and_missing_folders_are_one_sentence(tmp_path, make_clip):
    small = make_clip(tmp_path / "small.mp4", frames=2)
    large = make_clip(tmp_path / "large.mp4", frames=2, size=(128, 96))
    with pytest.raises(InputError, match="64x48 pixels and large.mp4 of 128x96") as caught:
        measure(small, large)
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="does not exist"):
        measure(small, small, csv=tmp_path / "missing" / "out.csv")


def test_without_vmaf_the_rest_is_measured_and_it_is_said(tmp_path, make_clip, monkeypatch):
    clip = make_clip(tmp_path / "clip.mp4", frames=3, size=(24, 24))
    found = measure(clip, clip)
    assert found.vmaf is None and "at least 32 pixels" in found.text() and found.frames == 3

    def refuse():
        raise EngineError("no ffmpeg here.")

    monkeypatch.setattr(vmaf, "executable", refuse)
    found = measure(make_clip(tmp_path / "larger.mp4", frames=3), tmp_path / "larger.mp4")
    assert found.vmaf is None and "no ffmpeg here" in found.text()


@pytest.mark.slow
def test_a_failing_ffmpeg_is_told(tmp_path, make_clip, monkeypatch):
    monkeypatch.setattr(vmaf, "executable", lambda: "/bin/false")
    clip = make_clip(tmp_path / "clip.mp4", frames=30, size=(256, 192))
    found = measure(clip, clip)
    assert found.vmaf is None and "VMAF was not measured" in found.text() and found.psnr == 100.0
