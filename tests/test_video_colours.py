"""Colours: tags travel, code values of flat patches stay, depth and chroma layout are kept, HDR stays HDR."""

from fractions import Fraction

import av
import numpy as np
import pytest

from espcn_demo.video import upscale_video
from tests.clips import BARS, bar_centres, bars_frame, decoded, photo_frame, plane, rgb, write
from tests.stand_ins import Nearest

LOSSLESS = {"qp": "0"}
TAGS = {
    "bt601": {"colorspace": 6, "color_primaries": 6, "color_trc": 6, "color_range": 1},
    "bt601 full": {"colorspace": 5, "color_primaries": 5, "color_trc": 6, "color_range": 2},
    "bt709": {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 1},
    "bt709 full": {"colorspace": 1, "color_primaries": 1, "color_trc": 1, "color_range": 2},
    "bt2020": {"colorspace": 9, "color_primaries": 9, "color_trc": 14, "color_range": 1},
    "none": {},
}


def tags_of(path):
    frame = decoded(path)[0]
    context = [int(getattr(frame, name)) for name in ("colorspace", "color_primaries", "color_trc", "color_range")]
    with av.open(str(path)) as container:
        stream = container.streams.video[0].codec_context
        names = ("colorspace", "color_primaries", "color_trc", "color_range")
        return context, [int(getattr(stream, name)) for name in names]


@pytest.mark.parametrize("name", TAGS)
def test_tags_travel_and_patches_keep_their_code_values(tmp_path, name):
    source = write(tmp_path / "in.mp4", [bars_frame("yuv420p")] * 3, options=LOSSLESS, tags=TAGS[name])
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert tags_of(tmp_path / "out.mp4") == tags_of(source)
    found = bar_centres(decoded(tmp_path / "out.mp4")[0])
    assert np.abs(found - np.array(BARS)).max() <= 1


@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_limited_range_is_told_when_nothing_else_is(tmp_path, codec):
    source = write(tmp_path / "in.mkv", [bars_frame("yuv420p")] * 2, codec="ffv1", tags={"color_range": 1})
    assert tags_of(source)[0] == [2, 2, 2, 1]
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), codec=codec)
    assert tags_of(tmp_path / "out.mp4")[0] == [2, 2, 2, 1]


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le", "yuv444p10le"])
@pytest.mark.parametrize("codec", ["h264", pytest.param("hevc", marks=pytest.mark.slow)])
def test_chroma_layout_and_depth_are_kept(tmp_path, pix_fmt, codec):
    source = write(tmp_path / "in.mkv", [bars_frame(pix_fmt)] * 2, codec="ffv1", tags=TAGS["bt709"])
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), codec=codec, crf=10)
    frame = decoded(tmp_path / "out.mp4")[0]
    assert frame.format.name == pix_fmt and report.notes == ()
    up = frame.format.components[0].bits - 8
    assert np.abs(bar_centres(frame) - (np.array(BARS) << up)).max() <= (1 << up)


@pytest.mark.parametrize("codec", [None, "vp9"])
def test_ten_bits_stay_ten_in_webm(tmp_path, codec):
    source = write(tmp_path / "in.mkv", [bars_frame("yuv420p10le")] * 2, codec="ffv1", tags=TAGS["bt2020"])
    report = upscale_video(source, tmp_path / "out.webm", upscaler=Nearest(), codec=codec, crf=5)
    assert any("av1 instead of vp9" in note for note in report.notes)
    frame = decoded(tmp_path / "out.webm")[0]
    assert frame.format.name == "yuv420p10le"
    assert np.abs(bar_centres(frame) - (np.array(BARS) << 2)).max() <= 4


def test_what_a_codec_does_not_take_is_said(tmp_path):
    source = write(tmp_path / "in.mkv", [bars_frame("yuv422p")] * 2, codec="ffv1")
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), codec="av1")
    assert decoded(tmp_path / "out.mp4")[0].format.name == "yuv420p"
    assert any("4:2:2" in note for note in report.notes)


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("codec", ["h264", "hevc", pytest.param("av1", marks=pytest.mark.slow)])
def test_hdr_stays_hdr(tmp_path, codec, transfer):
    """PQ and HLG tags, mastering display and content light level, read from the decoded frames."""
    light = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,500):cll=1000,400"
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": transfer, "color_range": 1}
    source = write(tmp_path / "in.mp4", [bars_frame("yuv420p10le")] * 3, options={"x264-params": light}, tags=tags)
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), codec=codec)
    assert tags_of(tmp_path / "out.mp4") == tags_of(source)
    before, after = (hdr_of(path) for path in (source, tmp_path / "out.mp4"))
    assert before.keys() == after.keys() == {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
    assert after["CONTENT_LIGHT_LEVEL"] == before["CONTENT_LIGHT_LEVEL"]
    for a, b in zip(rationals(before), rationals(after), strict=True):
        assert abs(a - b) <= max(Fraction(1, 10000), a / 1000)


@pytest.mark.parametrize(("suffix", "codec"), [
    (".mp4", "h264"), (".mkv", "hevc"), (".mov", "hevc"), pytest.param(".webm", "av1", marks=pytest.mark.slow),
])  # fmt: skip
def test_hdr_metadata_are_in_the_header_too(tmp_path, suffix, codec):
    """Players look there first; FFmpeg's description of a file names what its header holds, not what frames carry."""
    light = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,500):cll=1000,400"
    tags = {"colorspace": 9, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    source = write(tmp_path / "in.mp4", [bars_frame("yuv420p10le")] * 2, options={"x264-params": light}, tags=tags)
    assert "Mastering Display" not in description(source)
    upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest(), codec=codec)
    told = description(tmp_path / f"out{suffix}")
    assert "r(0.6800,0.3200) g(0.2650,0.6900) b(0.1500 0.0600) wp(0.3127, 0.3290)" in told
    assert "min_luminance=0.050000, max_luminance=1000.000000" in told and "MaxCLL=1000, MaxFALL=400" in told


def test_light_beyond_its_fields_is_left_out_of_the_header(tmp_path):
    from espcn_demo.video.light import Light, lit

    with av.open(str(write(tmp_path / "in.mp4", [photo_frame(0)] * 2))) as container:
        template = container.streams.video[0]
        with lit(template, Light(display=(70_000,) * 10, level=(70_000, 1))) as same:
            assert same is template


def hdr_of(path):
    return {
        data.type.name: bytes(data)
        for data in iter(decoded(path)[0].side_data)
        if data.type.name in ("MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL")
    }


def rationals(found):
    numbers = np.frombuffer(found["MASTERING_DISPLAY_METADATA"], "<i4")[:20]
    return [Fraction(int(n), int(d)) for n, d in numbers.reshape(-1, 2)]


def test_gray_stays_gray(tmp_path):
    frame = photo_frame(0, pix_fmt="gray")
    source = write(tmp_path / "in.mkv", [frame] * 2, codec="ffv1")
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), crf=4)
    after = decoded(tmp_path / "out.mp4")[0]
    assert all((plane(after, index) == 128).all() for index in (1, 2))
    wanted = plane(decoded(source)[0], 0).astype(int)
    assert np.abs(plane(after, 0)[::2, ::2] - wanted).mean() < 1.5


@pytest.mark.parametrize(("codec", "pix_fmt", "suffix"), [("ffv1", "bgr0", ".mkv"), ("libx264rgb", "rgb24", ".mp4")])
def test_rgb_keeps_its_colours(tmp_path, codec, pix_fmt, suffix):
    colours = [(200, 30, 40), (20, 180, 60), (30, 50, 220), (240, 240, 240), (10, 10, 10), (250, 200, 20)]
    image = np.zeros((32, 96, 3), np.uint8)
    for number, colour in enumerate(colours):
        image[:, number * 16 : number * 16 + 16] = colour
    frame = av.VideoFrame.from_ndarray(image, "rgb24").reformat(format=pix_fmt)
    source = write(tmp_path / f"in{suffix}", [frame] * 2, codec=codec, options=LOSSLESS)
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), crf=4)
    found = rgb(tmp_path / "out.mp4")
    for number, colour in enumerate(colours):
        assert np.abs(found[32, number * 32 + 16].astype(int) - colour).max() <= 2


def palette_clip(path, *, transparent):
    image = np.zeros((24, 32, 4), np.uint8)
    image[:, :16], image[:, 16:] = (220, 40, 30, 255), (30, 60, 210, 255)
    if transparent:
        image[:12] = 0
    from PIL import Image

    pictures = [Image.fromarray(np.roll(image, shift, 1)) for shift in (0, 4, 8)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, loop=0, disposal=2)
    return path


@pytest.mark.parametrize("suffix", [".mp4", ".gif", ".webm"])
def test_palette_gif(tmp_path, suffix):
    source = palette_clip(tmp_path / "in.gif", transparent=False)
    report = upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest(), crf=4)
    assert report.frames == 3 and abs(report.duration - 0.3) < 0.001
    found = rgb(tmp_path / f"out{suffix}")
    assert found.shape == (48, 64, 3)
    assert np.abs(found[24, 8].astype(int) - (220, 40, 30)).max() <= 3
    assert np.abs(found[24, 56].astype(int) - (30, 60, 210)).max() <= 3


def test_gif_keeps_transparency(tmp_path):
    source = palette_clip(tmp_path / "in.gif", transparent=True)
    upscale_video(source, tmp_path / "out.gif", upscaler=Nearest())
    alpha = decoded(tmp_path / "out.gif")[0].to_ndarray(format="rgba")[..., 3]
    assert alpha[:20].max() == 0 and alpha[28:].min() == 255
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert any("transparency" in note for note in report.notes)


def test_deep_alpha_becomes_what_vp9_takes(tmp_path):
    frame = photo_frame(0, pix_fmt="yuva444p10le")
    source = write(tmp_path / "in.mov", [frame] * 2, codec="prores_ks")
    report = upscale_video(source, tmp_path / "out.mkv", upscaler=Nearest(), codec="vp9")
    assert any("4:4:4" in note for note in report.notes) and any("bits" in note for note in report.notes)
    with av.open(str(tmp_path / "out.mkv")) as container:
        assert container.streams.video[0].metadata.get("alpha_mode") == "1"


def test_alpha_webm_keeps_alpha(tmp_path):
    frame = photo_frame(0, pix_fmt="yuva420p")
    alpha = plane(frame, 3)
    alpha[:, :32], alpha[:, 32:] = 255, 40
    source = write(tmp_path / "in.webm", [frame] * 3, codec="libvpx-vp9", options={"auto-alt-ref": "0", "crf": "10"},
                   time_base=Fraction(1, 1000), tags=TAGS["bt709"])  # fmt: skip
    upscale_video(source, tmp_path / "out.webm", upscaler=Nearest(), crf=10)
    assert tags_of(tmp_path / "out.webm") == tags_of(source) == ([1, 1, 1, 1], [1, 1, 1, 1])
    with av.open(str(tmp_path / "out.webm")) as container:
        stream = container.streams.video[0]
        assert stream.metadata.get("alpha_mode") == "1"
        decoder = av.CodecContext.create("libvpx-vp9", "r")
        frames = [frame for packet in container.demux(stream) if packet.size for frame in decoder.decode(packet)]
    assert frames[0].format.name == "yuva420p" and frames[0].width == 128
    found = plane(frames[0], 3).astype(int)
    assert np.abs(found[:, :56] - 255).max() <= 4 and np.abs(found[:, 72:] - 40).max() <= 4


def test_vp8_with_alpha_is_bt601(tmp_path):
    source = write(tmp_path / "in.webm", [photo_frame(0, pix_fmt="yuva420p")] * 2, codec="libvpx",
                   options={"auto-alt-ref": "0"}, time_base=Fraction(1, 1000))  # fmt: skip
    upscale_video(source, tmp_path / "out.webm", upscaler=Nearest())
    assert tags_of(tmp_path / "out.webm")[0][0] == 5


def description(path):
    """FFmpeg's description of a file at its most talkative."""
    av.logging.set_libav_level(av.logging.VERBOSE)
    av.logging.set_level(av.logging.VERBOSE)
    try:
        with av.open(str(path)) as container:
            return container.dumps_format()
    finally:
        av.logging.set_level(None)
        av.logging.set_libav_level(av.logging.INFO)


def location_of(path):
    """The chroma location that FFmpeg's description of the file names."""
    text = description(path)
    return [word for word in ("topleft", "left", "center", "top") if f", {word})" in text or f", {word}," in text]


@pytest.mark.parametrize("location", ["left", "center", "topleft"])
@pytest.mark.parametrize("codec", ["h264", pytest.param("hevc", marks=pytest.mark.slow)])
def test_chroma_location_travels(tmp_path, codec, location):
    options = LOSSLESS | {"chroma_sample_location": location}
    source = write(tmp_path / "in.mp4", [bars_frame("yuv420p")] * 2, options=options, tags=TAGS["bt709"])
    assert location_of(source) == [location]
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), codec=codec)
    assert location_of(tmp_path / "out.mp4") == [location]


def test_a_chroma_location_that_vp9_cannot_tell_is_said(tmp_path):
    for location, said in (("left", False), ("topleft", True)):
        options = LOSSLESS | {"chroma_sample_location": location}
        source = write(tmp_path / "in.mp4", [bars_frame("yuv420p")] * 2, options=options)
        notes = upscale_video(source, tmp_path / "out.webm", upscaler=Nearest()).notes
        assert any("topleft" in note for note in notes) == said


def test_chroma_location_follows_a_turn():
    from espcn_demo.video.chroma import turn_location

    clockwise = (0, 1, -1, 0)
    assert turn_location("left", (1, 0, 0, 1)) == "left"
    assert turn_location("left", clockwise) == "top"
    assert turn_location("topleft", clockwise) == ""  # the top right has no name
    assert turn_location("center", clockwise) == "center"
