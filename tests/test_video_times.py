"""Every frame comes out, at its own time, whatever the container's clock is."""

from fractions import Fraction
from itertools import pairwise

import av
import pytest

from espcn_demo.video import upscale_video
from tests.clips import photo_frame, times, tone, write
from tests.stand_ins import Nearest

BASE = Fraction(1, 90000)
STEADY = [3600 * index for index in range(12)]
CLOCKS = {
    "film": (Fraction(1, 24000), [1001 * index for index in range(12)], Fraction(24000, 1001)),
    "variable": (BASE, [0, 1500, 4500, 4600, 12000, 30000, 33000, 60000, 60001, 90000, 95000, 99000], 25),
    "late": (BASE, [900000 + time for time in STEADY], 25),
    "slow": (Fraction(1, 1), list(range(12)), 1),
    "odd clock": (Fraction(7, 1000), [6 * index for index in range(12)], Fraction(1000, 42)),
}


def frames(count=12):
    return [photo_frame(index) for index in range(count)]


def check(source, result, tick):
    before, after = times(source), times(result)
    assert len(after) == len(before)
    assert max(abs(a - b) for a, b in zip(before, after, strict=True)) <= tick


@pytest.mark.parametrize("clock", CLOCKS)
def test_every_frame_keeps_its_time(tmp_path, clock):
    base, ticks, rate = CLOCKS[clock]
    source = write(tmp_path / "in.mp4", frames(), times=ticks, time_base=base, rate=rate)
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert report.frames == 12 and report.width == 128
    check(source, tmp_path / "out.mp4", base)
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mp4")) as after:
        assert abs(float(before.streams.video[0].duration * before.streams.video[0].time_base) - report.duration) < 0.06
        assert after.streams.video[0].codec_context.name == "h264"


@pytest.mark.parametrize(("suffix", "codec"), [(".mkv", "h264"), (".webm", "vp9"), (".mov", "hevc")])
def test_other_containers_keep_times_within_their_tick(tmp_path, suffix, codec):
    source = write(tmp_path / "in.mp4", frames(), times=CLOCKS["variable"][1], time_base=BASE)
    upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest(), codec=codec)
    check(source, tmp_path / f"out{suffix}", Fraction(1, 1000))


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_lead_in_of_sound_does_not_move_the_picture(tmp_path, suffix):
    """AAC begins 1024 samples before zero; in Matroska too the first picture must stay where it was."""
    source = write(tmp_path / "in.mp4", frames(), extra=lambda c: tone(c, seconds=0.5))
    upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest())
    check(source, tmp_path / f"out{suffix}", Fraction(1, 2000))
    for path in (source, tmp_path / f"out{suffix}"):
        with av.open(str(path)) as container:
            first = next(packet for packet in container.demux(audio=0))
            assert abs(float(first.pts * first.time_base) + 1024 / 48000) < 0.001


def test_many_segments_join_without_a_seam(tmp_path, monkeypatch):
    from espcn_demo.video import clip

    monkeypatch.setattr(clip, "segment_frames", lambda width, height, batch: 5)
    source = write(tmp_path / "in.mp4", frames(23), times=[i * 3000 + (i % 3) * 700 for i in range(23)], time_base=BASE)
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    check(source, tmp_path / "out.mp4", BASE)
    with av.open(str(tmp_path / "out.mp4")) as container:
        stamps = [packet.dts for packet in container.demux(video=0) if packet.size]
    assert stamps == sorted(set(stamps)) and len(stamps) == 23


@pytest.mark.parametrize(("first", "suffix"), [(0, ".mp4"), (10023, ".mov")])
def test_a_rate_that_milliseconds_only_round_is_exact_again(tmp_path, first, suffix):
    stamps = [first + round(index * 1001 / 24) for index in range(24) if index != 7]  # one is missing
    source = write(tmp_path / "in.mkv", frames(23), times=stamps, time_base=Fraction(1, 1000), rate=CLOCKS["film"][2],
                   options={"bf": "2"})  # fmt: skip
    upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest())
    check(source, tmp_path / f"out{suffix}", Fraction(1, 1000))
    gaps = [later - earlier for earlier, later in pairwise(times(tmp_path / f"out{suffix}"))]
    assert set(gaps) == {Fraction(1001, 24000), Fraction(2002, 24000)}
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        stream = container.streams.video[0]
        assert stream.duration * stream.time_base == 24 * Fraction(1001, 24000)


def test_times_that_are_not_steady_stay_as_they_are(tmp_path):
    stamps = [0, 42, 83, 127, 167, 210]  # the fourth is off by 2 ms
    source = write(tmp_path / "in.mkv", frames(6), times=stamps, time_base=Fraction(1, 1000), rate=CLOCKS["film"][2])
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert times(tmp_path / "out.mp4") == [Fraction(stamp, 1000) for stamp in stamps]


def test_edit_list_is_obeyed(tmp_path):
    """A negative first time makes the muxer write an edit list that hides the beginning."""
    source = write(
        tmp_path / "in.mp4", frames(), times=[time - 7200 for time in STEADY], time_base=BASE, rate=25,
        options={"bf": "0"}, container_options={"avoid_negative_ts": "disabled", "use_editlist": "1"},
    )  # fmt: skip
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    check(source, tmp_path / "out.mp4", BASE)
    assert report.frames == 10 and report.notes == ()  # what the list hides is not missing


def test_a_cut_keeps_sound_and_picture_together(tmp_path):
    source = write(tmp_path / "in.mkv", frames(50), rate=25, extra=lambda c: tone(c, seconds=2.0))
    report = upscale_video(source, tmp_path / "out.mkv", upscaler=Nearest(), start=0.8, duration=0.6)
    assert report.frames == 15
    stamps = times(tmp_path / "out.mkv")
    assert abs(stamps[0]) <= Fraction(1, 500) and abs(stamps[-1] - Fraction(56, 100)) <= Fraction(1, 500)
    with av.open(str(tmp_path / "out.mkv")) as container:
        sound = [packet.pts * packet.time_base for packet in container.demux(audio=0) if packet.size]
    assert 0 <= sound[0] < 0.03 and 0.55 < sound[-1] < 0.61


@pytest.mark.parametrize("suffix", [".mp4", ".ts"])
def test_a_cut_from_the_beginning_keeps_the_lead_in_of_sound(tmp_path, suffix):
    """Also where the beginning is no whole number of microseconds, as in a transport stream."""
    source = write(tmp_path / f"in{suffix}", frames(20), extra=lambda c: tone(c, seconds=0.8))
    upscale_video(source, tmp_path / "out.mkv", upscaler=Nearest(), duration=0.4)
    with av.open(str(source)) as before, av.open(str(tmp_path / "out.mkv")) as after:
        first, found = next(before.demux(audio=0)), next(after.demux(audio=0))
        assert bytes(first)[-200:] == bytes(found)[-200:]  # ADTS headers come off
        assert abs(first.pts * first.time_base - found.pts * found.time_base) <= Fraction(1, 1000)


def test_a_cut_starts_at_the_right_picture(tmp_path):
    import numpy as np

    from tests.clips import decoded, plane

    source = write(tmp_path / "in.mp4", frames(60), rate=25, options={"g": "12"})
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest(), start=1.6, duration=0.2)
    wanted = plane(decoded(source)[40], 0).astype(int)
    found = plane(decoded(tmp_path / "out.mp4")[0], 0)[::2, ::2].astype(int)
    assert np.abs(wanted - found).mean() < 2
