"""Opening a clip that may be hostile: only known containers, only this one file, within limits.

FFmpeg reads playlists (HLS, DASH, concat, SDP), numbered pictures, devices and addresses as if they were videos. Here
the container is recognised by its content and held against a list of demuxers before any of them runs, every name is
taken as a plain file, and references to other files stay closed: an upload can neither read other files nor call out.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ..errors import InputError
from ..limits import GENEROUS, Limits

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Self-contained demuxers: none opens a second file or address (mov would with enable_drefs, which is switched off).
DEMUXERS = (
    *("mov", "matroska", "webm", "avi", "mpegts", "mpeg", "flv", "ogg", "gif", "apng", "asf", "mxf", "nut", "dv"),
    *("ivf", "obu", "h264", "hevc", "m4v", "mpegvideo", "yuv4mpegpipe"),
)
FORMATS = "mp4, mov, mkv, webm, avi, ts, mpg, flv, ogg, gif, 3gp or wmv"
OPTIONS = {"format_whitelist": ",".join(DEMUXERS), "protocol_whitelist": "file", "enable_drefs": "0"}
# What files of these containers are called; it only tells clips from other files when a whole folder is worked on.
READABLE = frozenset(
    {
        *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".ts", ".m2ts", ".mts", ".mpg", ".mpeg", ".vob"),
        *(".flv", ".ogg", ".ogv", ".gif", ".3gp", ".3g2", ".wmv", ".asf", ".mxf", ".dv", ".y4m"),
    }
)
# Beginnings of files that are no video, and what they are: only for a better sentence, the list above is what guards.
LOOKALIKES = {
    b"#EXTM3U": "an HLS playlist",
    b"ffconcat": "a concat playlist",
    b"v=0": "a stream description (SDP)",
    b"<?xml": "an XML file or a DASH playlist",
    b"<MPD": "a DASH playlist",
    b"\x89PNG": "a picture (use `espcn image`)",
    b"\xff\xd8\xff": "a picture (use `espcn image`)",
    b"BM": "a picture (use `espcn image`)",
}
UNSPECIFIED = 2  # ITU-T H.273: a colour tag that says nothing
MAX_RATE = 1000  # frames a second; faster is a header's nonsense
MAX_SECONDS = 366 * 24 * 3600.0  # a longer duration is a header's nonsense


@contextmanager
def open_source(path: Path, *, limits: Limits | None = None, part: float | None = None) -> Iterator[InputContainer]:
    """Open a clip for reading as a PyAV container that has a decodable video stream (see `video_stream`).

    limits   what is accepted, GENEROUS when None
    part     seconds that will be worked on, the whole clip when None; the limits on seconds and frames are for these

    Raises:
        InputError: no such file, not a regular file, empty, not a video, no decoder, or beyond the limits.
    """
    limits = limits or GENEROUS
    path = Path(path)
    _check_file(path, limits)
    with ExitStack() as stack:
        file = stack.enter_context(path.open("rb"))
        container = stack.enter_context(_open(path, file, limits))
        _check_streams(path, container, limits, part)
        for stream in container.streams.video:
            if stream.codec_context is not None:  # frames that grow beyond the limit later on do not decode
                stream.codec_context.options = {"max_pixels": str(limits.pixels)}
        yield container


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream to enlarge: FFmpeg's best one, with a size and a decoder, never a cover picture; None without any."""
    from av.stream import Disposition

    usable = [
        stream
        for stream in container.streams.video
        if stream.codec_context is not None
        and stream.codec_context.width > 0
        and stream.codec_context.height > 0
        and not stream.disposition & Disposition.attached_pic
    ]
    best = container.streams.best("video")
    chosen = [stream for stream in usable if best is not None and stream.index == best.index]
    return next(iter(chosen or usable), None)


def frame_rate(stream: VideoStream) -> Fraction:
    """Mean frames a second, never zero or absurd (FLV and damaged headers report 1000 or 90000); 25 when unknown."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.base_rate):
        if rate is not None and 0 < rate <= MAX_RATE and not _is_tick(rate, stream.time_base):
            return Fraction(rate)
    return Fraction(25)


def seconds(container: InputContainer, stream: VideoStream | None = None) -> float | None:
    """Length in seconds as the headers tell it (the stream's, else the container's); None when unknown or absurd."""
    if stream is not None and stream.duration is not None and stream.time_base is not None:
        length = float(stream.duration * stream.time_base)
        if 0 < length < MAX_SECONDS:
            return length
    if container.duration is not None and 0 < container.duration / 1e6 < MAX_SECONDS:
        return float(container.duration / 1e6)
    return None


def frame_count(container: InputContainer, stream: VideoStream) -> int | None:
    """Frames as the headers tell, else length times rate; None when neither is known. Damaged clips hold fewer."""
    if stream.frames > 0:
        return int(stream.frames)
    length = seconds(container, stream)
    return None if length is None else max(1, round(length * frame_rate(stream)))


def check_limits(
    name: str, limits: Limits, *, pixels: int = 0, frames: float = 0, length: float = 0.0, streams: int = 0
) -> None:
    """Refuse what goes beyond the limits; also for what only shows while decoding (real frame sizes and counts).

    Raises:
        InputError: names the limit and what would fit.
    """
    if pixels > limits.pixels:
        raise InputError(
            f"{name} has frames of {pixels:,} pixels; at most {limits.pixels:,} are accepted: make it smaller."
        )
    if length > limits.seconds:
        raise InputError(f"{name} is {length:.1f} s long; at most {limits.seconds:g} s are accepted: choose a part.")
    if frames > limits.frames:
        raise InputError(f"{name} has {frames:,.0f} frames; at most {limits.frames:,} are accepted: choose a part.")
    if streams > limits.streams:
        raise InputError(f"{name} has {streams} streams; at most {limits.streams} are accepted: keep only some.")


def _check_file(path: Path, limits: Limits) -> None:
    try:
        if not path.exists():
            raise InputError(f"{path.name} does not exist: check the path.")
        if not path.is_file():
            raise InputError(f"{path.name} is not a file: give a video file.")
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
        raise InputError(f"{path.name!r} cannot be opened ({error}): check the path.") from error
    if size == 0:
        raise InputError(f"{path.name} is empty, it has no bytes: choose another file.")
    if size > limits.bytes:
        most = f"{limits.bytes / 2**20:g}"
        raise InputError(f"{path.name} has {size / 2**20:.1f} MiB; at most {most} are accepted: cut or re-encode it.")


def _open(path: Path, file: BinaryIO, limits: Limits) -> InputContainer:
    import av
    from av.error import FFmpegError

    # The protocol's name in front keeps FFmpeg from reading `concat:`, `http:` or a dash in the path as its own syntax.
    # A percent sign would still mean numbered pictures: such a file goes in without its name.
    source = _Nameless(file) if "%" in str(path.absolute()) else f"file:{path.absolute()}"
    # Looking for the size of the frames decodes some: nothing near the limit is refused without saying its size.
    options = OPTIONS | {"max_pixels": str(4 * limits.pixels)}
    try:
        return av.open(source, "r", options=options, metadata_errors="replace")
    except (FFmpegError, OSError) as error:
        raise InputError(_why(path)) from error


class _Nameless:
    """A readable file without the `name` that FFmpeg would interpret."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell


def _why(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = file.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")
    except OSError as unreadable:
        return f"{path.name} cannot be read: {unreadable.strerror}."
    for beginning, kind in LOOKALIKES.items():
        if start.startswith(beginning):
            return f"{path.name} is {kind}, not a video: give a video file ({FORMATS})."
    return f"{path.name} is not a video that can be read here, or it is damaged: give {FORMATS}."


def _check_streams(path: Path, container: InputContainer, limits: Limits, part: float | None) -> None:
    check_limits(path.name, limits, streams=len(container.streams))
    stream = video_stream(container)
    if stream is None:
        raise InputError(_no_video(path, container))
    context = stream.codec_context
    length, frames = seconds(container, stream), frame_count(container, stream)
    if part is not None:
        length = min(length or part, part)
        frames = min(frames or limits.frames, round(part * frame_rate(stream)))
    check_limits(path.name, limits, pixels=context.width * context.height, frames=frames or 0, length=length or 0.0)


def _no_video(path: Path, container: InputContainer) -> str:
    if any(stream.codec_context is None for stream in container.streams.video):
        return f"{path.name} holds video in a codec that cannot be decoded here: convert it to H.264 first."
    if any(not stream.codec_context.width for stream in container.streams.video):
        return f"{path.name} has video that cannot be decoded: it is damaged, or its frames are too large."
    kinds = sorted({stream.type for stream in container.streams})
    return f"{path.name} has no video to enlarge, only {' and '.join(kinds) or 'an empty container'}."


def _is_tick(rate: Fraction, time_base: Fraction | None) -> bool:
    """Whether a rate is only the clock's: 1000 with a time base of 1/1000 s."""
    return time_base is not None and rate >= 240 and rate * time_base == 1
