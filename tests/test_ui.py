"""The page's own pieces, without a browser: words, links, the compare component's values, previews, jobs."""

from __future__ import annotations

import threading
from fractions import Fraction

import clips
import numpy as np
import pytest
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.ui import compare, examples, previews, results, wording, work, work_clip, work_four, work_measure
from espcn_demo.ui.clips import frame_times, write_clip

LIMITS = Limits()
EVIL = "<img src=x onerror=alert(1)>${alert(1)}{{evil}}"


@pytest.fixture
def picture(photo, tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo).save(path)
    return path


@pytest.mark.parametrize(
    "html",
    [
        wording.status(EVIL, busy=True),
        wording.problem(EVIL),
        wording.facts([(EVIL, EVIL)], [EVIL]),
        wording.scores([(EVIL, 30.0, 0.9), ("Bicubic", 29.0, 0.8)], caption=EVIL),
    ],
)
def test_nothing_a_user_gave_becomes_html(html):
    assert "<img" not in html
    assert "&lt;img" in html


def test_the_template_holds_no_value():
    component = compare.component(hint="Drop something.", elem_id="compare")
    assert "${" not in component.html_template and "{{" not in component.html_template
    assert "${" not in component.css_template and "{{" not in component.css_template
    assert "innerHTML" not in component.js_on_load


def test_scores_name_the_gain_over_bicubic():
    html = wording.scores([("ESPCN", 33.5, 0.95), ("Bicubic", 31.0, 0.93), ("Nearest", 28.0, 0.9)], caption="c")
    assert "<strong>+2.50 dB</strong>" in html
    assert "-3.00 dB" in html
    assert html.count("<tr>") == 4


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.42, "0.42 s"), (12.3, "12 s"), (185, "3 min 05 s"), (3600, "1 hour"), (3725, "1 h 02 min")]
)
def test_durations_for_people(seconds, text):
    assert wording.duration(seconds) == text


def test_a_result_is_found_by_its_address_only(tmp_path):
    folder = tmp_path / ("a" * 32)
    folder.mkdir()
    file = folder / "result.png"
    file.write_bytes(b"x")
    address = results.save(folder, "image", {"download": {"path": str(file)}})
    assert results.load(tmp_path, address) == ("image", {"download": {"path": str(file)}})
    for other in ("b" * 32, "../" + address, "", f"{address}/..", address.upper()):
        assert results.load(tmp_path, other) is None
    file.unlink()
    assert results.load(tmp_path, address) is None


def test_picture_job(picture, photo, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    result = work.picture(picture, folder, work.PictureSettings(), LIMITS)
    height, width = photo.shape[:2]
    assert (result.width, result.height) == (2 * width, 2 * height)
    with Image.open(result.download) as image:
        assert image.size == (2 * width, 2 * height)
    assert [side.label for side in result.left] == ["Bicubic", "Lanczos", "Bilinear", "Source (nearest)"]
    for side in (*result.left, result.right):
        assert side.path.is_file() and side.path.parent == folder
    assert not result.scores
    value = result.shown("id")["compare"]
    assert value["right"]["file"]["meta"] == {"_type": "gradio.FileData"}


def test_measured_picture_beats_bicubic(picture, tmp_path):
    result = work.picture(picture, tmp_path, work.PictureSettings(measure=True), LIMITS)
    scores = {name: psnr for name, psnr, _ in result.scores}
    assert scores["ESPCN"] > scores["Bicubic"] + 0.5
    assert "Original" in [side.label for side in result.left]


def test_location_is_removed_when_asked(photo, tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8825)[1] = "N"
    source = tmp_path / "place.jpg"
    Image.fromarray(photo).save(source, exif=exif)
    for strip in (False, True):
        folder = tmp_path / str(strip)
        folder.mkdir()
        result = work.picture(source, folder, work.PictureSettings(strip_location=strip), LIMITS)
        with Image.open(result.download) as image:
            assert bool(image.getexif().get_ifd(0x8825)) is not strip


def test_several_pictures_with_one_name_are_all_kept(picture, tmp_path):
    folder = tmp_path / "job"
    folder.mkdir()
    made = [work.plain_picture(picture, folder, work.PictureSettings(), LIMITS) for _ in range(2)]
    assert made[0].download != made[1].download
    from zipfile import ZipFile

    with ZipFile(work.pack([one.download for one in made], folder)) as archive:
        assert len(archive.namelist()) == 2


def test_four_times_and_its_verdict(picture, photo, tmp_path):
    result = work_four.four_picture(picture, tmp_path, work.PictureSettings(measure=True), LIMITS)
    assert result.scores[0][0] == work_four.OWN and result.scores[1][0] == work_four.ONCE
    assert "second pass adds" in result.notes[0]
    assert result.width == photo.shape[1] // 4 * 4
    nothing = ((work_four.OWN, 30.0, 0.9), (work_four.ONCE, 30.1, 0.9))
    assert "adds nothing" in work_four._measured_verdict(nothing)


def test_a_picture_is_told_from_a_clip_by_its_content(picture, make_clip, tmp_path):
    disguised = tmp_path / "clip.mp4"
    disguised.write_bytes(picture.read_bytes())
    assert work_four.is_picture(disguised)
    assert not work_four.is_picture(make_clip(tmp_path / "real.mp4"))


def test_preview_clips_keep_the_frame_times(make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=12, rate=25)
    played = write_clip(clip, tmp_path / "shown.mp4", factor=2)
    assert (played.width, played.height) == (128, 96)
    assert played.times == pytest.approx([index / 25 for index in range(12)], abs=0.001)
    assert list(frame_times(tmp_path / "shown.mp4")) == pytest.approx(played.times, abs=0.001)
    import av

    with av.open(str(tmp_path / "shown.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.name, context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.slow
def test_clip_jobs(make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=16, size=(96, 64))
    seen: list[object] = []
    folder = tmp_path / "preview"
    folder.mkdir()
    shown = work_clip.preview(clip, folder, work_clip.ClipSettings(), LIMITS, seen.append, threading.Event())
    assert (shown.width, shown.height) == (192, 128)
    assert isinstance(seen[0], work_clip.ClipResult) and len(seen[0].left) == 2
    assert [side.label for side in shown.left][:2] == [work_clip.SMOOTH, work_clip.SOURCE]
    told = dict(shown.facts)
    assert told["Gain, measured"].startswith("+") and told["Whole clip"] == "0.64 s, 16 frames"
    assert told["File, predicted"] == wording.size((folder / "preview.mp4").stat().st_size)
    folder = tmp_path / "whole"
    folder.mkdir()
    whole = work_clip.video(clip, folder, work_clip.ClipSettings(), LIMITS, seen.append, threading.Event())
    assert whole.download is not None and whole.download.is_file() and whole.sound
    assert len(whole.times) == 16
    assert len(list(frame_times(whole.download))) == 16


@pytest.mark.slow
def test_clips_that_browsers_cannot_play_are_shown_as_ones_they_can(make_clip, tmp_path):
    import av

    clip = make_clip(tmp_path / "deep.mkv", frames=6, size=(96, 64), codec="libx265", pix_fmt="yuv420p10le")
    folder = tmp_path / "job"
    folder.mkdir()
    settings = work_clip.ClipSettings(codec="hevc")
    shown = work_clip.video(clip, folder, settings, LIMITS, lambda _: None, threading.Event())
    with av.open(str(shown.download)) as container:
        assert container.streams.video[0].codec_context.name == "hevc"
    for side in (*shown.left, shown.right):
        with av.open(str(side.path)) as container:
            context = container.streams.video[0].codec_context
            assert (context.name, context.pix_fmt) == ("h264", "yuv420p"), side.label
            assert sum(1 for _ in container.decode(video=0)) == 6


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "given", "upright"),
    [
        ((96, 64), {"rotation": {"degrees": 90}}, (64, 96)),
        ((256, 16), {}, (256, 16)),
        ((64, 64), {"aspect": Fraction(2)}, (128, 64)),
    ],
    ids=["turned", "wide", "wide pixels"],
)
def test_both_sides_are_upright_and_in_shape(size, given, upright, tmp_path):
    def halves():
        for _ in range(4):
            frame = clips.photo_frame(0, *size)
            clips.plane(frame, 0)[:, : size[0] // 2] = 235
            yield frame

    clip = clips.write(tmp_path / "clip.mp4", halves(), **given)
    folder = tmp_path / "job"
    folder.mkdir()
    shown = work_clip.video(clip, folder, work_clip.ClipSettings(), LIMITS, lambda _: None, threading.Event())
    brighter = set()
    for side in (*shown.left, shown.right):
        luma = clips.decoded(side.path, "gray")[0].to_ndarray().astype(float)
        width, height = luma.shape[1], luma.shape[0]
        assert width / height == pytest.approx(upright[0] / upright[1], rel=0.02), side.label
        along = luma.mean(1 if "rotation" in given else 0)
        brighter.add(bool(along[: len(along) // 2].mean() > along[len(along) // 2 :].mean()))
    assert len(brighter) == 1  # no side is turned the other way


@pytest.mark.slow
def test_a_part_of_a_long_clip_is_predicted_and_the_whole_refused(make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=60, size=(96, 64))
    limits = Limits(seconds=1.0)
    with pytest.raises(InputError, match="choose a part"):
        work_clip.preview(clip, tmp_path, work_clip.ClipSettings(), limits, lambda _: None, threading.Event())
    part = work_clip.ClipSettings(start=1.0, end=1.8)
    told = dict(work_clip.preview(clip, tmp_path, part, limits, lambda _: None, threading.Event()).facts)
    assert told["Part"] == "0.8 s, 20 frames" and told["Time, predicted"] and told["File, predicted"]


@pytest.mark.slow
def test_measured_clip_has_a_curve(make_clip, tmp_path):
    clip = make_clip(tmp_path / "clip.mp4", frames=7, size=(96, 64))
    found = work_measure.measure_clip(
        clip, tmp_path, work_clip.ClipSettings(measure=True), LIMITS, lambda _: None, threading.Event()
    )
    assert found.curve is not None and len(found.curve.times) == 7
    scores = {name: psnr for name, psnr, _ in found.scores}
    assert scores["ESPCN 2×"] > scores["Bicubic"]
    four = work_clip.ClipSettings(measure=True, scale=4)
    found = work_measure.measure_clip(clip, tmp_path, four, LIMITS, lambda _: None, threading.Event())
    scores = {name: psnr for name, psnr, _ in found.scores}
    assert scores["ESPCN 4×"] > scores[work_measure.ONCE] > scores["Bicubic"] and work_measure.NAIVE in scores
    labels = [side.label.removesuffix(" (restored)") for side in found.left]
    assert labels == ["Bicubic", work_measure.ONCE, work_measure.NAIVE, "Original"]
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(InputError):
        work_measure.measure_clip(clip, tmp_path, work_clip.ClipSettings(), LIMITS, lambda _: None, stopped)


def test_examples_need_no_network(tmp_path):
    assert set(examples.thumbnails()) == set(examples.PICTURES)
    for name in examples.PICTURES:
        with Image.open(examples.picture(name, tmp_path)) as image:
            assert image.size[0] > 200
    assert len(list(frame_times(examples.clip(tmp_path)))) == examples.CLIP_FRAMES


def test_transparent_pictures_are_shown_on_white():
    from espcn_demo.image import Picture

    clear = Picture(np.zeros((4, 4, 3), np.uint8), np.zeros((4, 4), np.uint8))
    assert (previews.eight_bits(clear) == 255).all()
