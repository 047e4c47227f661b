"""GIF: what its clock and header hold is kept, the rest is said, and the result is verified like any other."""

from fractions import Fraction

import av
import pytest

from espcn_demo.errors import InputError
from espcn_demo.video import gif, upscale_video
from espcn_demo.video.probe import probe
from tests.clips import decoded, photo_frame, times, write
from tests.stand_ins import Nearest


def frames(count):
    return [photo_frame(index, 48, 32) for index in range(count)]


def test_a_frame_that_is_missing_is_noticed(tmp_path, monkeypatch):
    whole = gif._paletted
    monkeypatch.setattr(gif, "_paletted", lambda graph, frames: list(whole(graph, frames))[:-1])
    source = write(tmp_path / "in.mp4", frames(5))
    with pytest.raises(InputError, match="4 of 5 frames"):
        upscale_video(source, tmp_path / "out.gif", upscaler=Nearest())
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_times_and_the_length_of_the_last_frame(tmp_path):
    source = write(tmp_path / "in.mp4", frames(4), times=[0, 10, 30, 100], time_base=Fraction(1, 100), rate=10)
    report = upscale_video(source, tmp_path / "out.gif", upscaler=Nearest())
    assert report.frames == 4 and report.notes == ()
    assert times(tmp_path / "out.gif") == [0, Fraction(1, 10), Fraction(3, 10), 1]
    with av.open(str(tmp_path / "out.gif")) as container:
        assert float(container.duration / 1e6) == pytest.approx(report.duration, abs=0.02) and report.duration < 1.2


def test_frames_that_come_too_fast_are_left_out_and_counted(tmp_path):
    """FFmpeg and browsers show a frame of 10 ms for 100: the clip would last many times as long."""
    source = write(tmp_path / "in.mp4", frames(24), rate=100, time_base=Fraction(1, 100))
    report = upscale_video(source, tmp_path / "out.gif", upscaler=Nearest())
    assert report.frames == 12 == len(decoded(tmp_path / "out.gif")) and report.duration == 0.24
    assert times(tmp_path / "out.gif")[-1] == Fraction(22, 100)
    assert any("50 a second" in note for note in report.notes)
    assert any("50 a second" in one for one in probe(source, out_suffix=".gif", measure=False).plan.impossible)


def test_a_late_beginning_and_pixel_aspects_are_said(tmp_path):
    source = write(tmp_path / "in.mp4", frames(3), times=[250, 260, 270], time_base=Fraction(1, 25),
                   aspect=Fraction(4, 3))  # fmt: skip
    report = upscale_video(source, tmp_path / "out.gif", upscaler=Nearest())
    assert times(tmp_path / "out.gif")[0] == 0 and len(report.notes) == 2
    with av.open(str(tmp_path / "out.gif")) as container:
        assert abs(float(container.streams.video[0].sample_aspect_ratio) - 4 / 3) < 1 / 64


def test_words_are_said_to_be_left_out(tmp_path):
    def extra(container):
        container.metadata["title"] = "A title"
        chapter = {"id": 1, "start": 0, "end": 100, "time_base": Fraction(1, 1000), "metadata": {"title": "One"}}
        container.set_chapters([chapter])
        return []

    source = write(tmp_path / "in.mkv", frames(3), extra=extra, time_base=Fraction(1, 1000))
    notes = upscale_video(source, tmp_path / "out.gif", upscaler=Nearest()).notes
    assert len(notes) == 2 and "title" in notes[0] and "1 chapters" in notes[1]
