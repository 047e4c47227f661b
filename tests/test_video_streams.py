"""What is beside the picture: sound, subtitles, chapters, metadata, attachments; kept, converted or said."""

from fractions import Fraction

import av
import pytest
from av.stream import Disposition

from espcn_demo.video import upscale_video
from espcn_demo.video.probe import probe
from tests.clips import packets, photo_frame, tone, write
from tests.stand_ins import Nearest

WORDS = ["First line", "Second line, with a comma", "Third"]


def frames(count=25):
    return [photo_frame(index) for index in range(count)]


def subtitles(container, codec="subrip", language="fre"):
    """Add a text subtitle stream; returns packets at 0.1, 0.4 and 0.7 s."""
    stream = container.add_stream(codec)
    stream.codec_context.subtitle_header = b"[Script Info]\nScriptType: v4.00+\n"
    stream.time_base = stream.codec_context.time_base = Fraction(1, 1000)
    stream.metadata["language"] = language
    made = []
    for number, words in enumerate(WORDS):
        text = f"{number},0,Default,,0,0,0,,{{\\i1}}{words}{{\\i0}}" if codec == "ass" else words
        packet = av.Packet(text.encode())
        packet.pts = packet.dts = 100 + 300 * number
        packet.duration, packet.time_base, packet.stream = 250, Fraction(1, 1000), stream
        made.append(packet)
    return made


def rich(path, *, ass=False, sound=("aac", "aac")):
    """A Matroska with two languages, subtitles, chapters, a font and metadata."""

    def extra(container):
        container.metadata.update({"title": "A title", "artist": "Somebody", "comment": "No comment"})
        made = tone(container, seconds=1.0, codec=sound[0], language="eng")
        made += tone(container, seconds=1.0, codec=sound[1], language="ger", hertz=660)
        made += subtitles(container, "ass" if ass else "subrip")
        container.add_attachment("font.ttf", "application/x-truetype-font", b"not really a font" * 9)
        chapter = {"time_base": Fraction(1, 1000), "metadata": {"title": "Beginning"}}
        container.set_chapters(
            [{"id": 1, "start": 0, "end": 400, **chapter}, {"id": 2, "start": 400, "end": 1000, **chapter}]
        )
        return made

    return write(path, frames(), extra=extra, time_base=Fraction(1, 1000))


def summary(path):
    with av.open(str(path)) as container:
        kinds = [(stream.type, stream.language) for stream in container.streams]
        chapters = [
            (c["start"] * c["time_base"], c["end"] * c["time_base"], c["metadata"].get("title"))
            for c in container.chapters()
        ]
        return kinds, chapters, {key.lower(): value for key, value in container.metadata.items()}


@pytest.mark.parametrize("ass", [False, True])
def test_matroska_keeps_everything(tmp_path, ass):
    source = rich(tmp_path / "in.mkv", ass=ass)
    report = upscale_video(source, tmp_path / "out.mkv", upscaler=Nearest())
    before, after = summary(source), summary(tmp_path / "out.mkv")
    assert sorted(before[0], key=str) == sorted(after[0], key=str) and before[1] == after[1]
    assert {key: after[2].get(key) for key in ("title", "artist", "comment")} == {
        "title": "A title", "artist": "Somebody", "comment": "No comment",
    }  # fmt: skip
    for kind in ("audio", "subtitle"):
        assert packets(tmp_path / "out.mkv", kind) == packets(source, kind)
    with av.open(str(tmp_path / "out.mkv")) as container:
        fonts = [(s.name, s.mimetype, s.data) for s in container.streams if s.type == "attachment"]
    assert fonts == [("font.ttf", "application/x-truetype-font", b"not really a font" * 9)]
    assert report.audio == "copied" and report.notes == ()


@pytest.mark.parametrize("suffix", [".mp4", pytest.param(".mov", marks=pytest.mark.slow)])
def test_mp4_converts_subtitles_and_says_what_it_cannot_hold(tmp_path, suffix):
    source = rich(tmp_path / "in.mkv", ass=suffix == ".mov")
    report = upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest())
    kinds, chapters, metadata = summary(tmp_path / f"out{suffix}")
    assert [(kind, language or "und") for kind, language in kinds if kind != "data"] == [
        ("video", "und"), ("audio", "eng"), ("audio", "ger"),
        ("subtitle", "fre" if suffix == ".mp4" else "fra"),
    ]  # fmt: skip
    assert chapters == summary(source)[1]
    assert metadata["title"] == "A title" and metadata["artist"] == "Somebody"
    assert packets(tmp_path / f"out{suffix}", "audio") == packets(source, "audio")
    texts = [data[2:].decode() for data in packets(tmp_path / f"out{suffix}", "subtitle")[0] if len(data) > 2]
    assert texts == WORDS
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        stamps = [p.pts * p.time_base for p in container.demux(subtitles=0) if p.size > 2]
    assert [round(float(stamp), 3) for stamp in stamps] == [0.1, 0.4, 0.7]
    assert any("font.ttf" in note for note in report.notes) and any("mov_text" in note for note in report.notes)
    assert report.audio == "copied"


def test_mov_text_goes_back_to_matroska(tmp_path):
    upscale_video(rich(tmp_path / "in.mkv"), tmp_path / "middle.mp4", upscaler=Nearest())
    upscale_video(tmp_path / "middle.mp4", tmp_path / "out.mkv", upscaler=Nearest())
    assert [data.decode() for data in packets(tmp_path / "out.mkv", "subtitle")[0]] == WORDS


def test_webm_re_encodes_sound_and_turns_subtitles_into_webvtt(tmp_path):
    source = rich(tmp_path / "in.mkv")
    report = upscale_video(source, tmp_path / "out.webm", upscaler=Nearest())
    with av.open(str(tmp_path / "out.webm")) as container:
        codecs = [stream.codec_context.name for stream in container.streams]
        sound = sum(frame.samples for frame in container.decode(audio=0))
    assert codecs == ["vp9", "opus", "opus", "webvtt"]
    assert abs(sound / 48000 - 1.0) < 0.05
    assert report.audio == "re-encoded"
    assert sum("opus" in note for note in report.notes) == 2


@pytest.mark.parametrize(("codec", "suffix", "out"), [
    ("pcm_s16le", ".avi", ".mp4"), ("aac", ".ts", ".mp4"), ("aac", ".mp4", ".gif"),
    pytest.param("flac", ".mkv", ".mov", marks=pytest.mark.slow),
    pytest.param("libmp3lame", ".avi", ".mp4", marks=pytest.mark.slow),
    pytest.param("mp2", ".ts", ".mp4", marks=pytest.mark.slow),
    pytest.param("pcm_s16le", ".mov", ".mov", marks=pytest.mark.slow),
    pytest.param("libopus", ".mkv", ".mp4", marks=pytest.mark.slow),
])  # fmt: skip
def test_sound_is_copied_where_it_can_be(tmp_path, codec, suffix, out):
    source = write(tmp_path / f"in{suffix}", frames(), extra=lambda c: tone(c, seconds=1.0, codec=codec),
                   time_base=Fraction(1, 90000) if suffix == ".ts" else Fraction(1, 25))  # fmt: skip
    report = upscale_video(source, tmp_path / f"out{out}", upscaler=Nearest())
    assert report.frames == 25
    if out == ".gif":
        assert report.audio == "none" and any("audio" in note for note in report.notes)
        return
    with av.open(str(tmp_path / f"out{out}")) as container:
        stream = container.streams.audio[0]
        name, rate = stream.codec_context.codec.canonical_name, stream.codec_context.sample_rate
        sound = sum(frame.samples for frame in container.decode(stream))
    copied = codec in ("libmp3lame", "mp2", "aac", "libopus") or suffix == out
    assert report.audio == ("copied" if copied else "re-encoded")
    # MP4 has one number for MPEG layers 2 and 3
    wanted = codec.removeprefix("lib").removesuffix("lame") if copied else "aac"
    assert name == ("mp3" if wanted == "mp2" else wanted)
    assert abs(sound / rate - 1.0) < 0.1
    assert copied == (not report.notes)


def test_the_last_samples_of_re_encoded_sound_are_there(tmp_path):
    """A decoder that runs behind, as that of WMA, must be emptied at the end."""
    source = write(tmp_path / "in.wmv", frames(5), codec="wmv2", time_base=Fraction(1, 25),
                   extra=lambda c: tone(c, seconds=0.5, codec="wmav2", bits=128_000))  # fmt: skip
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    counts = []
    for path in (source, tmp_path / "out.mp4"):
        with av.open(str(path)) as container:
            counts.append(sum(frame.samples for frame in container.decode(audio=0)))
    assert counts[1] >= counts[0] > 20_000


def test_no_sound_is_none(tmp_path):
    source = write(tmp_path / "in.mp4", frames(5))
    assert upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest()).audio == "none"


def test_unusual_metadata_survives_in_mp4(tmp_path):
    def extra(container):
        container.metadata.update({"title": "A title", "my_own_key": "my own value"})
        return []

    source = write(tmp_path / "in.mkv", frames(5), extra=extra, time_base=Fraction(1, 1000))
    upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    metadata = summary(tmp_path / "out.mp4")[2]
    assert metadata["title"] == "A title" and metadata["my_own_key"] == "my own value"


def with_cover(path, **metadata):
    """A clip with a cover picture and, beside a title, the given metadata."""

    def extra(container):
        container.metadata.update({"title": "A title", **metadata})
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        made = cover.encode(photo_frame(0, pix_fmt="yuvj420p"))
        return made + cover.encode(None)

    return write(path, frames(5), extra=extra)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_cover_picture_is_kept(tmp_path, suffix):
    source = with_cover(tmp_path / "in.mp4")
    middle, out = tmp_path / f"middle{suffix}", tmp_path / f"out{suffix}"
    assert upscale_video(source, middle, upscaler=Nearest()).notes == ()
    report = upscale_video(middle, out, upscaler=Nearest())  # an attachment in Matroska, which must be seen as one
    with av.open(str(out)) as container:
        assert [bool(s.disposition & Disposition.attached_pic) for s in container.streams.video] == [False, True]
    assert report.frames == 5 and report.notes == ()
    assert packets(out, "video")[1] == packets(source, "video")[1]


def test_a_cover_that_becomes_an_attachment_is_told_beforehand(tmp_path):
    found = probe(with_cover(tmp_path / "in.mp4"), out_suffix=".mkv", measure=False).plan
    assert any(one.startswith("Cover picture") for one in found.kept) and found.impossible == ()


def test_a_cover_that_mov_cannot_hold_is_said(tmp_path):
    report = upscale_video(with_cover(tmp_path / "in.mp4"), tmp_path / "out.mov", upscaler=Nearest())
    assert any("cover" in note and "left out" in note for note in report.notes)


def test_a_cover_goes_before_unusual_metadata_and_that_is_said(tmp_path):
    source = tmp_path / "in.mkv"
    upscale_video(with_cover(tmp_path / "in.mp4"), source, upscaler=Nearest())

    def extra(container):
        container.metadata.update({"title": "A title", "MY_KEY": "my value"})
        with av.open(str(source)) as covered:
            container.add_attachment("cover.jpg", "image/jpeg", bytes(next(covered.demux(covered.streams.video[1]))))
        return []

    write(tmp_path / "both.mkv", frames(5), extra=extra, time_base=Fraction(1, 1000))
    report = upscale_video(tmp_path / "both.mkv", tmp_path / "out.mp4", upscaler=Nearest())
    assert len(packets(tmp_path / "out.mp4", "video")) == 2 and summary(tmp_path / "out.mp4")[2]["title"] == "A title"
    assert any("MY_KEY" in note for note in report.notes)


@pytest.mark.parametrize(("suffix", "lost"), [(".mkv", 0), (".mp4", 0), (".mov", 1), (".webm", 1)])
def test_marks_of_tracks_are_kept_or_said(tmp_path, suffix, lost):
    def extra(container):
        made = tone(container) + tone(container, language="ger")
        container.streams.audio[0].disposition = Disposition.comment
        container.streams.audio[1].disposition = Disposition.default
        return made

    source = write(tmp_path / "in.mkv", frames(5), extra=extra, time_base=Fraction(1, 1000))
    report = upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest())
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        marks = [int(stream.disposition) for stream in container.streams.audio]
    assert marks == [0 if lost else int(Disposition.comment), int(Disposition.default)]
    assert sum("comment" in note for note in report.notes) == lost


def test_titles_of_tracks_go_to_mp4_and_back(tmp_path):
    def extra(container):
        made = tone(container) + tone(container, language="ger")
        for stream, title in zip(container.streams.audio, ("Main", "Commentary"), strict=True):
            stream.metadata["title"] = title
        return made

    source = write(tmp_path / "in.mkv", frames(5), extra=extra, time_base=Fraction(1, 1000))
    upscale_video(source, tmp_path / "middle.mp4", upscaler=Nearest())
    upscale_video(tmp_path / "middle.mp4", tmp_path / "again.mp4", upscaler=Nearest())
    upscale_video(tmp_path / "again.mp4", tmp_path / "out.mkv", upscaler=Nearest())
    for name, key in (("middle.mp4", "handler_name"), ("again.mp4", "name"), ("out.mkv", "title")):
        with av.open(str(tmp_path / name)) as container:
            assert [stream.metadata.get(key) for stream in container.streams.audio] == ["Main", "Commentary"]


def test_the_track_of_chapter_titles_is_not_taken_for_a_loss(tmp_path):
    upscale_video(rich(tmp_path / "in.mkv"), tmp_path / "middle.mp4", upscaler=Nearest())
    report = upscale_video(tmp_path / "middle.mp4", tmp_path / "out.mp4", upscaler=Nearest())
    assert report.notes == () and summary(tmp_path / "out.mp4") == summary(tmp_path / "middle.mp4")


def test_a_second_picture_stream_is_kept_as_it_is(tmp_path):
    def extra(container):
        second = container.add_stream("libx264", rate=25)
        second.width, second.height = 32, 32
        second.time_base = second.codec_context.time_base = Fraction(1, 25)
        made = []
        for index in range(25):
            frame = photo_frame(index, 32, 32)
            frame.pts, frame.time_base = index, Fraction(1, 25)
            made += second.encode(frame)
        return made + second.encode(None)

    source = write(tmp_path / "in.mp4", frames(), extra=extra)
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=Nearest())
    assert packets(tmp_path / "out.mp4", "video")[1] == packets(source, "video")[1]
    assert any("own size" in note for note in report.notes)


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_timecode_is_kept(tmp_path, suffix):
    def extra(container):
        container.streams.video[0].metadata["timecode"] = "01:00:00:00"
        return []

    source = write(tmp_path / "in.mov", frames(5), extra=extra)
    upscale_video(source, tmp_path / f"out{suffix}", upscaler=Nearest())
    with av.open(str(tmp_path / f"out{suffix}")) as container:
        metadata = {key.lower(): value for key, value in container.streams.video[0].metadata.items()}
    assert metadata["timecode"] == "01:00:00:00"
