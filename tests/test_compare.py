"""Comparison clips: the right frames side by side or under a wipe, with labels and sound, read back independently."""

import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.video import compare as module
from espcn_demo.video.compare import compare
from espcn_demo.video.playback import Playback


def flat_clip(path, colours, *, size=(64, 48), rate=10, rotation=0):
    """A clip of one colour a frame, lossless enough to be told apart; BT.601 as untagged small clips are shown."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
        if rotation:
            stream.set_display_rotation(rotation)
        for colour in colours:
            picture = np.full((size[1], size[0], 3), colour, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode(None))
    return path


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


RED, GREEN, BLUE, WHITE = (200, 40, 40), (40, 180, 40), (40, 40, 200), (220, 220, 220)


@pytest.fixture
def clips(tmp_path):
    before = flat_clip(tmp_path / "before.mp4", [RED] * 5 + [GREEN] * 5)
    after = flat_clip(tmp_path / "after.mp4", [BLUE] * 5 + [WHITE] * 5, size=(128, 96))
    return before, after


def test_side_by_side_shows_both_in_step(tmp_path, clips):
    report = compare(*clips, tmp_path / "out.mp4", labels=("", ""))
    frames = pictures(tmp_path / "out.mp4")
    assert (report.width, report.height) == (256, 96) == frames[0].shape[1::-1]
    assert len(frames) == 10 and report.audio == "none" and report.fps == 10
    for index, (left, right) in {0: (RED, BLUE), 4: (RED, BLUE), 5: (GREEN, WHITE), 9: (GREEN, WHITE)}.items():
        assert np.abs(frames[index][40:60, 20:100].mean((0, 1)) - left).max() < 6
        assert np.abs(frames[index][40:60, 150:240].mean((0, 1)) - right).max() < 6
    with av.open(str(tmp_path / "out.mp4")) as container:
        context = container.streams.video[0].codec_context
        assert (context.pix_fmt, context.colorspace, context.color_range) == ("yuv420p", 1, 1)
    assert not list(tmp_path.glob(".espcn*"))


def test_the_wipe_moves_and_shows_before_on_the_left(tmp_path, clips, monkeypatch):
    monkeypatch.setattr(module, "WIPE_PERIOD", 0.8)
    compare(*clips, tmp_path / "out.mp4", style="wipe", labels=("", ""), seconds=0.5)
    frames = pictures(tmp_path / "out.mp4")
    assert len(frames) == 5 and frames[0].shape == (96, 128, 3)
    edges = [int((np.abs(frame[48].astype(int) - RED).max(1) < 30).sum()) for frame in frames]
    assert edges[0] == pytest.approx(63, abs=3) and edges[2] == pytest.approx(12, abs=3)
    assert all(np.abs(frame[48, -8:].mean(0) - BLUE).max() < 6 for frame in frames)


def test_labels_are_drawn_on_their_side(tmp_path, clips):
    compare(*clips, tmp_path / "plain.mp4", labels=("", ""), seconds=0.1)
    compare(*clips, tmp_path / "labelled.mp4", labels=("small", ""), seconds=0.1)
    plain, labelled = (pictures(tmp_path / name)[0].astype(int) for name in ("plain.mp4", "labelled.mp4"))
    changed = np.abs(plain - labelled).max(2) > 30
    assert changed[:40, :80].sum() > 100 and changed[:, 128:].sum() == 0


def test_the_sound_of_after_is_kept(tmp_path, make_clip):
    before = make_clip(tmp_path / "before.mp4", frames=10, audio=False)
    after = make_clip(tmp_path / "after.mp4", frames=25, size=(128, 96))
    report = compare(before, after, tmp_path / "out.mp4")
    assert report.audio == "after" and report.seconds == pytest.approx(0.4)
    with av.open(str(tmp_path / "out.mp4")) as container:
        samples = np.concatenate([frame.to_ndarray() for frame in container.decode(audio=0)], axis=1)
        rate = container.streams.audio[0].rate
    assert samples.shape[1] / rate == pytest.approx(0.4, abs=0.08)
    spectrum = np.abs(np.fft.rfft(samples[0, : rate // 4]))
    assert np.argmax(spectrum) * 4 == pytest.approx(440, abs=10)


def test_a_gif_is_limited_and_says_so(tmp_path, make_clip, monkeypatch):
    monkeypatch.setattr(module, "GIF_WIDTH", 100)
    monkeypatch.setattr(module, "GIF_SECONDS", 0.32)
    clip = make_clip(tmp_path / "clip.mp4", frames=12)
    report = compare(clip, clip, tmp_path / "out.gif")
    assert report.audio == "none"
    assert [word in " ".join(report.notes) for word in ("100 pixels", "0.32 of", "12.5 of the 25")] == [True] * 3
    with Image.open(tmp_path / "out.gif") as gif:
        assert gif.size == (report.width, report.height) == (100, 38)
        assert gif.n_frames == 4 and gif.info["duration"] == 80 and gif.info["loop"] == 0


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_rotated_clip_is_shown_as_players_show_it(tmp_path, rotation, photo):
    path = tmp_path / "turned.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv444p"
        stream.set_display_rotation(rotation)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(photo, "rgb24")))
        container.mux(stream.encode(None))
    with Playback(path) as shown:
        picture = shown.at(0)
    expected = np.rot90(photo, rotation // 90)  # FFmpeg's rotation counts counter-clockwise, as numpy does
    assert picture.shape == expected.shape
    assert np.abs(picture.astype(int) - expected).mean() < 3


def test_playback_holds_frames_of_a_variable_rate_and_goes_back(tmp_path):
    path = tmp_path / "variable.mkv"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"crf": "4", "bf": "0"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
        for colour, pts in ((RED, 1000), (GREEN, 1100), (BLUE, 1900)):
            frame = av.VideoFrame.from_ndarray(np.full((48, 64, 3), colour, np.uint8), "rgb24")
            frame.pts, frame.time_base = pts, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with Playback(path) as shown:
        seen = [shown.at(moment)[24, 32].astype(int) for moment in (0, 0.05, 0.1, 0.85, 0.9, 5, 0.2)]
    for got, expected in zip(seen, (RED, RED, GREEN, GREEN, BLUE, BLUE, GREEN), strict=True):
        assert np.abs(got - expected).max() < 8


@pytest.mark.parametrize(
    ("options", "name", "match"),
    [
        ({"style": "spin"}, "out.mp4", "side or wipe"),
        ({}, "out.avi", r"\.mp4 or \.gif"),
        ({}, "missing/out.mp4", "does not exist"),
        ({"seconds": 0}, "out.mp4", "greater than zero"),
        ({"seconds": float("nan")}, "out.mp4", "greater than zero"),
        ({"height": 5}, "out.mp4", "between 16"),
    ],
)
def test_wrong_options_are_refused(tmp_path, options, name, match):
    with pytest.raises(InputError, match=match):
        compare(tmp_path / "a.mp4", tmp_path / "b.mp4", tmp_path / name, **options)


def test_a_playlist_is_not_compared(tmp_path, make_clip):
    clip = make_clip(tmp_path / "clip.mp4", frames=3)
    (tmp_path / "list.mp4").write_text("ffconcat version 1.0\nfile clip.mp4\n")
    with pytest.raises(InputError, match="concat playlist"):
        compare(clip, tmp_path / "list.mp4", tmp_path / "out.mp4")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["clip.mp4", "list.mp4"]


def test_the_height_can_be_chosen_and_is_even(tmp_path, clips):
    report = compare(*clips, Path(tmp_path / "out.mp4"), height=51, seconds=0.1)
    assert report.height % 2 == 0 and abs(report.height - 51) <= 1 and report.width % 4 == 0


def test_two_pictures_are_compared_too(tmp_path):
    for name, colour, size in (("before.png", RED, (64, 48)), ("after.png", BLUE, (128, 96))):
        Image.new("RGB", size, colour).save(tmp_path / name)
    report = compare(
        tmp_path / "before.png", tmp_path / "after.png", tmp_path / "out.gif", labels=("", ""), seconds=0.2
    )
    assert (report.width, report.height, report.audio) == (256, 96, "none")
    with Image.open(tmp_path / "out.gif") as gif:
        shown = np.asarray(gif.convert("RGB")).astype(int)
    assert np.abs(shown[48, 30] - RED).max() < 6 and np.abs(shown[48, 200] - BLUE).max() < 6


def test_sound_begins_with_the_first_frame(tmp_path):
    """Sound that starts 0.2 s after, or before, the first frame does so in the WAV too."""
    from espcn_demo.video.soundtrack import RATE, write_wav

    path = tmp_path / "late.mkv"
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10, options={"bf": "0"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for index in range(10):
            frame = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            frame.pts, frame.time_base = index + 10, Fraction(1, 10)
            container.mux(video.encode(frame))
        loud = av.AudioFrame.from_ndarray(np.full((1, 4000), 9000, np.int16), "s16", "mono")
        loud.sample_rate, loud.pts, loud.time_base = 8000, 9600, Fraction(1, 8000)
        container.mux(sound.encode(loud))
        container.mux(video.encode(None))
        container.mux(sound.encode(None))
    for start, first in ((1.0, 0.2), (1.5, 0.0)):
        assert write_wav(path, tmp_path / "out.wav", start=start, length=0.6)
        with wave.open(str(tmp_path / "out.wav")) as file:
            samples = np.frombuffer(file.readframes(RATE), np.int16)[::2]
        heard = np.flatnonzero(np.abs(samples) > 4000)
        assert heard[0] / RATE == pytest.approx(first, abs=0.005)
        assert heard[-1] / RATE == pytest.approx(min(0.6, 1.7 - start), abs=0.01)
    assert not write_wav(flat_clip(tmp_path / "mute.mp4", [RED]), tmp_path / "mute.wav", start=0, length=1)
