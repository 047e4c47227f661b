"""Shape: upright whatever the tag says, pixel aspect kept, odd sizes doubled, interlaced made progressive."""

from fractions import Fraction

import av
import numpy as np
import pytest

from espcn_demo.video import upscale_frames, upscale_video
from tests.clips import decoded, photo_frame, plane, write
from tests.stand_ins import Nearest

# A bright mark in the top left corner of the stored frame; where must it be seen?
TURNS = {
    "none": (None, "top left"),
    "90 clockwise": ({"degrees": -90}, "top right"),
    "90 counter-clockwise": ({"degrees": 90}, "bottom left"),
    "180": ({"degrees": 180}, "bottom right"),
    "mirror": ({"degrees": 0, "hflip": True}, "top right"),
    "flip": ({"degrees": 0, "vflip": True}, "bottom left"),
    "90 and mirror": ({"degrees": -90, "hflip": True}, None),
    "270 and mirror": ({"degrees": 90, "hflip": True}, None),
}


def marked(width=64, height=32):
    frame = av.VideoFrame(width, height, "yuv420p")
    for index, value in enumerate((40, 128, 128)):
        plane(frame, index)[:] = value
    plane(frame, 0)[:12, :16] = 220
    return frame


def corner(luma):
    height, width = luma.shape
    half = {
        "top left": luma[: height // 4, : width // 4],
        "top right": luma[: height // 4, -(width // 4) :],
        "bottom left": luma[-(height // 4) :, : width // 4],
        "bottom right": luma[-(height // 4) :, -(width // 4) :],
    }
    return max(half, key=lambda name: half[name].mean())


def as_shown(path):
    """Luma of the first frame as a player shows it: FFmpeg's own turning, from the display matrix that is left."""
    frame = decoded(path)[0]
    matrices = [bytes(data) for data in iter(frame.side_data) if data.type.name == "DISPLAYMATRIX"]
    luma = plane(frame, 0)
    if not matrices:
        return luma
    a, b, _, c, d = np.frombuffer(matrices[0], "<i4")[:5] // 65536
    height, width = luma.shape
    ys, xs = np.mgrid[:height, :width]
    x, y = a * xs + c * ys, b * xs + d * ys
    shown = np.empty((y.max() - y.min() + 1, x.max() - x.min() + 1), luma.dtype)
    shown[y - y.min(), x - x.min()] = luma
    return shown


@pytest.mark.parametrize("suffix", [".mp4", pytest.param(".mkv", marks=pytest.mark.slow)])
@pytest.mark.parametrize("turn", TURNS)
def test_the_result_is_upright(tmp_path, turn, suffix):
    rotation, wanted = TURNS[turn]
    source = write(tmp_path / "in.mp4", [marked()] * 3, rotation=rotation)
    report = upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest())
    before, after = as_shown(source), as_shown(tmp_path / f"out{suffix}")
    assert after.shape == (before.shape[0] * 2, before.shape[1] * 2) == (report.height, report.width)
    assert corner(after) == corner(before) == (wanted or corner(before))
    assert np.abs(after[::2, ::2].astype(int) - before).mean() < 2


def test_a_nonsense_rotation_is_said(tmp_path):
    source = write(tmp_path / "in.mp4", [marked()] * 3, rotation={"degrees": 33})
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert any("rotation" in note for note in report.notes)


def test_turned_pixels_swap_their_aspect(tmp_path):
    source = write(tmp_path / "in.mp4", [marked()] * 3, rotation={"degrees": 90}, aspect=Fraction(4, 3))
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(3, 4)


@pytest.mark.parametrize(("suffix", "codec"), [
    (".mp4", "h264"), (".mkv", "h264"), (".mkv", "vp9"), (".mov", "hevc"), (".webm", "vp9"), (".webm", "av1"),
    (".mp4", "av1"),
])  # fmt: skip
def test_pixel_aspect_is_kept(tmp_path, suffix, codec):
    source = write(tmp_path / "in.mp4", [marked()] * 3, aspect=Fraction(16, 11))
    upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest(), codec=codec)
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        aspect = container.streams.video[0].sample_aspect_ratio
    assert abs(float(aspect) - 16 / 11) < 0.02
    assert not any(data.type.name == "DISPLAYMATRIX" for data in iter(decoded(tmp_path / f"out{suffix}")[0].side_data))


@pytest.mark.parametrize("aspect", [Fraction(8, 9), Fraction(10, 11), Fraction(64, 45)])
def test_matroska_keeps_pixel_aspects_exactly(tmp_path, aspect):
    """Also those that give no whole number of pixels: 128 by 8/9."""
    source = write(tmp_path / "in.mp4", [marked()] * 2, aspect=aspect)
    upscale_video(source, tmp_path / "out.mkv", upscaler=Nearest(), codec="vp9")  # which does not carry it itself
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].sample_aspect_ratio == aspect


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 5), (161, 121), (33, 2), (63, 47)])
@pytest.mark.parametrize("pix_fmt", ["yuv420p", pytest.param("yuv444p", marks=pytest.mark.slow)])
def test_odd_sizes(tmp_path, width, height, pix_fmt):
    frame = photo_frame(0, width, height, pix_fmt)
    source = write(tmp_path / "in.mkv", [frame] * 2, codec="ffv1", options={"level": "1"})
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), crf=4)
    after = decoded(tmp_path / "out.mp4")[0]
    assert (after.width, after.height) == (2 * width, 2 * height) == (report.width, report.height)
    assert np.abs(plane(after, 0)[::2, ::2].astype(int) - plane(decoded(source)[0], 0)).mean() < 3


def test_four_times(tmp_path):
    source = write(tmp_path / "in.mp4", [photo_frame(0)] * 2)
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(4))
    assert (report.width, report.height, report.scale) == (256, 192, 4)


def interlaced(path, codec, suffix):
    """Two fields from different moments in every frame: a bar that moves 6 pixels a field."""
    frames = []
    for index in range(8):
        frame = marked(96, 64)
        luma = plane(frame, 0)
        luma[:] = 40
        for field in (0, 1):
            at = 8 + 6 * (2 * index + field)
            luma[field::2, at : at + 12] = 220
        frames.append(frame)
    options = {"flags": "+ildct+ilme"} if codec == "mpeg2video" else {"x264-params": "interlaced=1:tff=1"}
    return write(path / f"in{suffix}", frames, codec=codec, options=options, time_base=Fraction(1, 25),
                 tags={"field_order": 2} if codec == "mpeg2video" else None)  # fmt: skip


def combing(luma):
    """Mean difference between neighbouring lines, less that between lines two apart."""
    rows = luma.astype(int)
    return np.abs(rows[1:-1] - rows[2:]).mean() - np.abs(rows[:-2] - rows[2:]).mean()


@pytest.mark.parametrize(("codec", "suffix"), [("libx264", ".mp4"), ("mpeg2video", ".ts")])
def test_interlaced_becomes_progressive(tmp_path, codec, suffix):
    source = interlaced(tmp_path, codec, suffix)
    assert all(frame.interlaced_frame for frame in decoded(source))
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    after = decoded(tmp_path / "out.mp4")
    assert len(after) == len(decoded(source)) == report.frames
    assert not any(frame.interlaced_frame for frame in after)
    assert any("interlaced" in note for note in report.notes)
    before = combing(plane(decoded(source)[3], 0))
    assert before > 5 and combing(plane(after[3], 0)[::2, ::2]) < before / 4


def test_frames_one_by_one(tmp_path):
    source = write(tmp_path / "in.mp4", [marked()] * 5, rotation={"degrees": -90})
    frames = list(upscale_frames(source, upscaler=Nearest()))
    assert [float(frame.pts * frame.time_base) for frame in frames] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
    assert all((frame.width, frame.height) == (64, 128) for frame in frames)
    assert frames[0].to_ndarray(format="rgb24").shape == (128, 64, 3)
    assert corner(plane(frames[0], 0)) == "top right"
