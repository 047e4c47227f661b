"""Everything in a clip beside the picture: sound, subtitles, chapters, attachments, data and metadata.

Streams are copied packet by packet where the target holds their codec, else converted, else left out with a note that
says why: nothing disappears in silence.
"""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from .cover import attach_cover, is_cover, keeps_cover, read_covers, takes_cover
from .metadata import describe, lost_marks, unusual_keys, words_lost_in_gif
from .routes import Copy, Route, Sound, Text, Window

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer, OutputContainer
    from av.stream import AttachmentStream, Stream
    from av.subtitles.stream import SubtitleStream

# Sound that players of the container expect; Matroska takes whatever FFmpeg's muxer takes.
_PCM = {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be", "pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_u8", "pcm_s8"}
SOUND = {
    "mp4": {"aac", "mp3", "mp2", "ac3", "eac3", "opus", "flac", "alac", "dts"},
    "mov": {"aac", "mp3", "mp2", "ac3", "eac3", "alac"} | _PCM,
    "webm": {"opus", "vorbis"},
    "gif": set[str](),
}
SOUND_ENCODER = {"mp4": "aac", "mov": "aac", "webm": "libopus", "matroska": "aac"}
TEXT = {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"}
SUBTITLES = {
    "mp4": {"mov_text", "dvd_subtitle"},
    "mov": {"mov_text"},
    "webm": {"webvtt"},
    "matroska": {"subrip", "srt", "ass", "ssa", "webvtt", "text", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"},
    "gif": set[str](),
}
TEXT_ENCODER = {"mp4": "mov_text", "mov": "mov_text", "webm": "webvtt", "matroska": "subrip"}
NAMES = {"mp4": "MP4", "mov": "MOV", "webm": "WebM", "matroska": "Matroska", "gif": "GIF"}
_LAYOUTS = {1: "mono", 2: "stereo", 3: "2.1", 4: "4.0", 5: "5.0", 6: "5.1", 8: "7.1"}
_ASS_HEADER = (
    b"[Script Info]\nScriptType: v4.00+\n\n[V4+ Styles]\nFormat: Name, Fontname, Fontsize, PrimaryColour, "
    b"SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, "
    b"BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding\nStyle: Default,Arial,16,&Hffffff,"
    b"&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0\n\n[Events]\nFormat: Layer, Start, End, Style, Name, "
    b"MarginL, MarginR, MarginV, Effect, Text\n"
)


@dataclass
class SideStreams:
    """The streams of a source beside the one that is enlarged, routed into a result.

    audio     "copied", "re-encoded" or "none"
    attached  indexes of streams that became attachments
    """

    routes: dict[int, Route] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    audio: str = "none"
    attached: list[int] = field(default_factory=list)

    def add(self, source: InputContainer, chosen: Stream, out: OutputContainer, window: Window) -> None:
        """Add a stream to `out` for every one of `source` that can go there."""
        covers = read_covers(source) if out.format.name == "matroska" else {}
        for stream in source.streams:
            if stream.index == chosen.index or _tells_chapters(stream, source):
                continue
            if stream.index in covers:
                attach_cover(stream, covers[stream.index], out)
                self.attached.append(stream.index)
                continue
            route = self._route(stream, out, window)
            if route is not None:
                self.routes[stream.index] = route
                if lost := lost_marks(stream, out.format.name):
                    where = NAMES[out.format.name]
                    self.notes.append(
                        f"{' and '.join(lost)} of stream {stream.index} left out: {where} has no such mark"
                    )
        if out.format.name == "gif":
            self.notes += words_lost_in_gif(source)
        unusual = unusual_keys(source)
        if unusual and keeps_cover(source, out.format.name):
            self.notes.append(f"metadata {', '.join(unusual)} left out: MP4 holds either these or a cover picture")

    def _route(self, stream: Stream, out: OutputContainer, window: Window) -> Route | None:
        from av import AudioStream
        from av.stream import AttachmentStream

        container = out.format.name
        kind, codec = str(stream.type), _codec(stream)
        what = f"{kind} stream {stream.index} ({codec})"
        if isinstance(stream, AttachmentStream):
            self._attach(stream, out)
            return None
        if container == "gif":
            self.notes.append(f"{what} was left out: GIF holds pictures only")
            return None
        if kind == "audio" and not getattr(stream.codec_context, "sample_rate", 0):
            self.notes.append(f"{what} was left out: its format is unknown")
            return None
        if kind == "data" and "timecode" in stream.metadata:
            if container == "webm":
                self.notes.append("the timecode is kept as metadata only: WebM has no track for it")
            return None  # the picture's metadata carry it, and MOV and MP4 make their own track from that
        if kind == "video" and not getattr(stream.codec_context, "pix_fmt", None):
            self.notes.append(f"{what} was left out: it holds no frames")
            return None
        cover = kind == "video" and is_cover(stream)
        if cover and not takes_cover(stream, container):
            self.notes.append(
                f"cover picture {stream.index} ({codec}) was left out: {NAMES[container]} does not hold it"
            )
            return None
        if _holds(container, kind, codec) and _accepted(stream, container):
            if kind == "audio" and self.audio == "none":
                self.audio = "copied"
            if kind == "video" and not cover:
                self.notes.append(f"{what} was kept at its own size: one picture stream is enlarged")
            return Copy(_template(stream, out), window, cover)
        if isinstance(stream, AudioStream):
            return self._sound(stream, out, window, what)
        if kind == "subtitle" and codec in TEXT:
            target = TEXT_ENCODER[container]
            self.notes.append(f"{what} became {target}: {NAMES[container]} does not hold it")
            return Text(codec, _text_stream(stream, out, target), window)
        self.notes.append(f"{what} was left out: {NAMES[container]} does not hold it (Matroska, .mkv, may)")
        return None

    def _sound(self, stream: AudioStream, out: OutputContainer, window: Window, what: str) -> Route:
        name = SOUND_ENCODER[out.format.name]
        reason = f"{NAMES[out.format.name]} does not hold it"
        self.notes.append(f"{what} was re-encoded as {name.removeprefix('lib')}: {reason}")
        self.audio = "re-encoded"
        context = stream.codec_context
        rate = 48_000 if name == "libopus" else context.sample_rate
        target: Any = out.add_stream(name, rate=rate)
        target.codec_context.layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")  # PCM often names none
        target.codec_context.bit_rate = 96_000 * max(1, (context.layout.nb_channels + 1) // 2) + 32_000
        describe(stream, target)
        return Sound(stream, target, window)

    def _attach(self, stream: AttachmentStream, out: OutputContainer) -> None:
        name = stream.name or f"attachment-{stream.index}"
        if out.format.name == "matroska":
            out.add_attachment(name, stream.mimetype or "application/octet-stream", stream.data)
            self.attached.append(stream.index)
        else:
            self.notes.append(f"attachment {name} was left out: only Matroska (.mkv) holds attachments")


def _tells_chapters(stream: Stream, source: InputContainer) -> bool:
    """Whether a stream is the text track in which MP4 and MOV keep the titles of chapters, which are copied as such."""
    mine = stream.type == "data" and stream.name == "bin_data" and "mov" in source.format.name
    return mine and bool(source.chapters())


def _holds(container: str, kind: str, codec: str) -> bool:
    if kind == "audio":
        return container == "matroska" or codec in SOUND[container]
    if kind == "subtitle":
        return codec in SUBTITLES[container]
    return kind in ("video", "data") and container != "webm"


def _accepted(stream: Stream, container: str) -> bool:
    """Whether the muxer really takes the stream: some are refused only when the header is written."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(io.BytesIO(), "w", format=container) as trial:
            _template(stream, trial)
            trial.start_encoding()
    except (FFmpegError, ValueError, OSError):
        return False
    return True


def _template(stream: Stream, out: OutputContainer) -> Stream:
    target = out.add_stream_from_template(stream, opaque=True)
    describe(stream, target)
    return target


def _text_stream(stream: Stream, out: OutputContainer, codec: str) -> SubtitleStream:
    from av.subtitles.stream import SubtitleStream

    target = out.add_stream(codec)
    assert isinstance(target, SubtitleStream)
    target.codec_context.subtitle_header = _ASS_HEADER
    target.codec_context.time_base = Fraction(1, 1000)
    target.time_base = Fraction(1, 1000)
    describe(stream, target)
    return target


def _codec(stream: Stream) -> str:
    if stream.codec_context is None:
        return stream.name or "unknown"
    return str(stream.codec_context.codec.canonical_name)
