"""Answers before the work: what a file is, what will be kept of it, what it takes; checked against the work itself."""

import json
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.video.estimate import clock, estimate, size
from espcn_demo.video.excerpt import choose_excerpts, complexity, predict_bytes, settled
from espcn_demo.video.facts import read_facts
from espcn_demo.video.plan import plan
from espcn_demo.video.probe import probe
from espcn_demo.video.shrinking import gain_of, measure_clip_by_shrinking
from espcn_demo.video.timing import is_variable
from espcn_demo.video.upscale import upscale_video
from tests.stand_ins import Nearest


def rich_clip(path):
    """Matroska with two sound tracks, subtitles, chapters, an attachment, a title, SAR 4:3, BT.709 tags, 24000/1001."""
    from skimage.data import astronaut

    picture = np.ascontiguousarray(astronaut()[:48, 160:224])
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=Fraction(24000, 1001))
        video.width, video.height, video.pix_fmt = 64, 48, "yuv422p10le"
        context = video.codec_context
        context.sample_aspect_ratio = Fraction(4, 3)
        context.color_primaries = context.color_trc = context.colorspace = 1
        context.color_range = 1
        sounds = [container.add_stream("flac", rate=8000, layout="mono") for _ in range(2)]
        words = container.add_stream("subrip")
        words.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
        words.time_base = words.codec_context.time_base = Fraction(1, 1000)
        container.add_attachment("notes.txt", "text/plain", b"remember")
        container.metadata["title"] = "rich"
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 400, "time_base": Fraction(1, 1000), "metadata": {"title": "one"}}]
        )
        for _ in range(12):
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(video.encode(None))
        for sound in sounds:
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4000), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = 8000, 0
            container.mux(sound.encode(frame))
            container.mux(sound.encode(None))
        packet = av.Packet(b"hello")
        packet.stream, packet.pts, packet.dts, packet.duration, packet.time_base = words, 0, 0, 300, Fraction(1, 1000)
        container.mux(packet)
    return path


@pytest.fixture(scope="module")
def rich(tmp_path_factory):
    return rich_clip(tmp_path_factory.mktemp("rich") / "rich.mkv")


def test_facts_of_a_rich_clip(rich):
    facts = read_facts(rich)
    assert (facts.width, facts.height, facts.frames, facts.counted) == (64, 48, 12, True)
    assert facts.rate == "24000/1001" and not facts.variable_rate and facts.aspect == "4:3"
    assert (facts.codec, facts.pixel_format, facts.bits, facts.chroma) == ("h264", "yuv422p10le", 10, "4:2:2")
    assert (facts.matrix, facts.primaries, facts.transfer, facts.range) == ("bt709", "bt709", "bt709", "limited")
    assert [len(facts.of_kind(kind)) for kind in ("video", "audio", "subtitle", "attachment")] == [0, 2, 1, 1]
    assert facts.chapters == 1 and facts.metadata["title"] == "rich" and facts.duration == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize(
    ("suffix", "kept", "converted", "impossible"),
    [
        (".mkv", ["Subtitle stream 3", "Audio stream 2", "notes.txt", "1 chapters", "4:3", "10 bits"], [], []),
        (".mp4", ["Audio stream 1", "1 chapters", "Metadata", "bt709"], ["Subtitle stream 3"], ["notes.txt"]),
        (".webm", ["1 chapters"], ["vp9|av1", "Audio stream 1", "Subtitle stream 3"], ["notes.txt"]),
        (".gif", [], [], ["Audio stream 1", "1 chapters"]),
    ],
)
def test_the_plan_tells_what_happens_to_every_property(rich, suffix, kept, converted, impossible):
    found = probe(rich, out_suffix=suffix, measure=False)
    for name, expected in (("kept", kept), ("converted", converted), ("impossible", impossible)):
        sentences = found.as_dict()[name]
        assert all(sentence.endswith(".") and sentence[0] == sentence[0].upper() for sentence in sentences)
        for words in expected:
            assert any(word in sentence for sentence in sentences for word in words.split("|")), (
                name,
                words,
                sentences,
            )


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_the_plan_is_what_the_work_does(rich, tmp_path, suffix):
    out = tmp_path / f"out{suffix}"
    planned = plan(rich, read_facts(rich), out_suffix=suffix)
    report = upscale_video(rich, out, upscaler=Nearest())
    assert (report.width, report.height, report.audio, report.encoder) == (
        *(planned.width, planned.height),
        *(planned.sound, planned.encoder),
    )
    with av.open(str(out)) as container:
        assert container.streams.video[0].codec_context.pix_fmt == planned.pixel_format
        kinds = sorted(stream.type for stream in container.streams if stream.type != "attachment")
        assert kinds.count("audio") == 2 and ("attachment" in str(planned.impossible)) == (suffix == ".mp4")
    told = " ".join([*planned.converted, *planned.impossible]).lower()
    assert all(note.lower() in told for note in report.notes), (report.notes, told)


def test_nothing_is_called_missing_before_it_was_read(tmp_path, make_clip):
    """MP4's header tells the number of frames; the plan reads the first one only."""
    found = probe(make_clip(tmp_path / "in.mp4"), measure=False).plan
    assert found.converted == () == found.impossible


def test_probe_json_and_text(rich):
    found = probe(rich, measure=False)
    plain = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert plain["kind"] == "video" and plain["fps"] == pytest.approx(23.976, abs=0.001) and plain["estimate"] is None
    assert plain["result"]["width"] == 128 and len(plain["streams"]) == 5
    text = found.text()
    assert "64x48 h264 yuv422p10le" in text and "2 audio" in text and "kept: All 12 frames" in text


def test_a_picture_is_described_too(tmp_path, photo):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path, dpi=(300, 300))
    found = probe(path)
    assert found.kind == "picture" and found.as_dict()["result_width"] == 256
    assert "128x96 PNG picture, RGB" in found.text() and "Resolution." in found.as_dict()["kept"]


def test_a_moving_gif_is_a_clip_and_a_still_one_a_picture(tmp_path, photo):
    frames = [Image.fromarray(np.roll(photo, 4 * index, axis=1)) for index in range(3)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:], duration=100)
    frames[0].save(tmp_path / "still.gif")
    moving = probe(tmp_path / "moving.gif", measure=False)
    assert moving.kind == "video" and moving.facts.frames == 3 and moving.facts.chroma == "rgb"
    assert probe(tmp_path / "still.gif").kind == "picture"


def test_what_is_neither_is_refused(tmp_path):
    path = tmp_path / "text.mp4"
    path.write_text("hello " * 100)
    with pytest.raises(InputError, match="not a video"):
        probe(path)
    with pytest.raises(InputError, match="does not exist"):
        probe(tmp_path / "missing.mp4")


def test_a_clip_beyond_the_limits_is_described_and_not_planned(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=50)
    limits = Limits(seconds=1.0)
    assert read_facts(clip, limits=limits).frames == 50
    with pytest.raises(InputError, match="choose a part"):
        probe(clip, limits=limits)


def test_a_cut_off_clip_tells_how_much_is_missing(tmp_path, make_clip):
    whole = make_clip(tmp_path / "whole.mp4", frames=40, size=(128, 96), audio=False)
    data = whole.read_bytes()
    with (
        av.open(str(whole), "r") as source,
        av.open(str(tmp_path / "fast.mp4"), "w", container_options={"movflags": "faststart"}) as target,
    ):
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                target.mux(packet)
    data = (tmp_path / "fast.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    facts = read_facts(tmp_path / "cut.mp4")
    assert facts.frames + facts.lost == 40 and facts.lost > 3
    assert any("cut off" in one for one in plan(tmp_path / "cut.mp4", facts).impossible)


@pytest.mark.parametrize(
    ("times", "tick", "variable"),
    [
        ([0, 0.04, 0.08, 0.12], 1e-3, False),
        ([0, 0.033, 0.067, 0.1, 0.133], 1e-3, False),  # a steady rate in whole milliseconds
        ([0, 0.04, 0.12, 0.16], 1e-3, True),
        ([0, 0.04], 1e-3, False),
        ([], 0, False),
    ],
)
def test_variable_rates_are_told_from_rounded_ones(times, tick, variable):
    assert is_variable(times, tick) is variable


def test_an_estimate_from_the_whole_of_a_short_clip(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=20)
    found = estimate(clip, Nearest())
    out = tmp_path / "out.mp4"
    upscale_video(clip, out, upscaler=Nearest())
    assert found.frames == 20 and found.excerpts == ((0.0, 0.8),) and found.engine == "nearest"
    assert found.bytes == pytest.approx(out.stat().st_size, rel=0.02)
    assert found.seconds > 0 and found.gain < 0 < found.bicubic
    assert "dB over bicubic" in found.text() and json.dumps(found.as_dict(), allow_nan=False)


def test_an_estimate_adds_the_opening_and_survives_tiny_frames(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=4, size=(8, 8), audio=False)
    found = estimate(clip, Nearest(), opening=1000.0)
    assert found.seconds > 1000 and found.gain is None and "frames too small" in found.text()


@pytest.mark.slow
def test_size_and_gain_of_a_long_clip_follow_from_excerpts(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=150, size=(160, 120), rate=25)
    out = tmp_path / "out.mp4"
    upscale_video(clip, out, upscaler=Nearest())
    found = estimate(clip, Nearest(), 1.0)
    assert len(found.excerpts) >= 1 and sum(length for _, length in found.excerpts) <= 1.01
    assert found.bytes == pytest.approx(out.stat().st_size, rel=0.25)
    whole = measure_clip_by_shrinking(clip, Nearest(), frames=1000)
    assert len(whole.curve) == 150 and found.gain == pytest.approx(whole.gain, rel=0.25)


def test_the_measured_mode_gives_curve_and_table(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=30, size=(128, 96))
    seen = []
    found = measure_clip_by_shrinking(clip, Nearest(), frames=5, on_progress=lambda done, of: seen.append((done, of)))
    times = [frame.time for frame in found.curve]
    assert len(times) == 5 == len(seen) and times == sorted(times) and times[-1] - times[0] > 0.8
    assert [score.method for score in found.scores] == ["network", "bicubic", "lanczos", "bilinear", "nearest"]
    scores = {score.method: score.psnr for score in found.scores}
    assert scores["network"] == pytest.approx(scores["nearest"], abs=0.01) and scores["bicubic"] > scores["nearest"]
    assert found.gain == pytest.approx(scores["network"] - scores["bicubic"]) and found.worst <= found.gain
    assert json.dumps(found.as_dict(), allow_nan=False)


def test_the_short_form_of_the_gain_equals_the_long_one(tmp_path, make_clip):
    from espcn_demo.measure import measure_plane
    from espcn_demo.video.luma import read_luma

    luma = next(read_luma(make_clip(tmp_path / "clip.mp4", frames=2, size=(128, 96))))
    network, bicubic = gain_of(luma, Nearest())
    full = measure_plane(luma.plane, Nearest(), luma.white)
    assert (network, bicubic) == pytest.approx((full.score("network").psnr, full.score("bicubic").psnr), abs=1e-3)


def test_excerpts_are_spread_and_fit_the_budget(rich, tmp_path, make_clip):
    facts = read_facts(make_clip(tmp_path / "clip.mp4", frames=200, rate=25, audio=False))
    parts = choose_excerpts(facts, 2.0, pace=0.001)
    assert len(parts) == 2 and sum(length for _, length in parts) == pytest.approx(2.0, abs=0.01)
    assert all(start >= 0 and start + length <= 8 for start, length in parts)
    slow = choose_excerpts(facts, 2.0, pace=5.0)
    assert len(slow) == 1 and slow[0][1] * 25 == pytest.approx(16, abs=0.1)
    assert choose_excerpts(read_facts(rich), 2.0, pace=0.001) == []


def test_bytes_are_predicted_from_key_frames_and_complexity():
    packets = [(True, 1000), *[(False, 100)] * 9]
    assert predict_bytes(packets, 100, 50, 1.0) == pytest.approx(2 * 1000 + 98 * 100)
    assert predict_bytes(packets, 100, 50, 1.5) == pytest.approx(2 * 1000 + 98 * 150)
    assert predict_bytes(packets, 5, 50, 1.0) == pytest.approx(950)
    assert predict_bytes([(True, 10)] * 4, 8, 50, 1.0) == pytest.approx(80)
    sizes = [(index * 0.04, 100 if index < 50 else 200) for index in range(100)]
    assert complexity(sizes, [(0.0, 1.0)]) == pytest.approx(1.5**0.5)
    assert settled(packets) == [packets[0], *packets[1:]] and len(settled(packets * 2)) == 16
    assert complexity(sizes, [(0.0, 0.1)]) == 1.0  # too few packets to say


def test_lengths_and_sizes_are_told_as_people_say_them():
    assert [clock(value) for value in (0.2, 59.4, 200, 3900)] == ["1 s", "59 s", "3 min 20 s", "1 h 5 min"]
    assert [size(value) for value in (10, 420_000, 3_400_000, 1_200_000_000)] == ["1 kB", "420 kB", "3.4 MB", "1.2 GB"]
