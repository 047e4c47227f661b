"""A clip ready to be enlarged: opened, its first frame seen, and everything decided that depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from ..limits import GENEROUS, Limits
from .chroma import chroma_location, turn_location
from .decode import Health, Reader
from .encode import ALPHA_DEPTHS, DEPTHS, Encoding, choose_encoder
from .frames import Canvas, Samples, choose_layout, chroma_layout, is_transparent, read_tags
from .light import read_light
from .settings import Settings, batch_frames, segment_frames
from .source import check_limits, frame_count, open_source, seconds, video_stream
from .upright import Upright

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_ALPHA = {("libvpx-vp9", "webm"), ("libvpx-vp9", "matroska"), ("ffv1", "gif")}  # encoder and container that keep alpha
_FASTEST = 240  # frames a second that every encoder accepts


@dataclass(frozen=True)
class Batch:
    """Frames that go through the network together.

    frames   enlarged frames, their luma still to come
    planes   (frames * P, H, W) samples; P is 1, or 2 with alpha
    """

    frames: list[VideoFrame]
    planes: Samples


@dataclass
class Clip:
    """An opened clip; iterate `batches` once.

    total    expected frames, None when the clip does not tell
    read     frames read so far
    segment  frames in a closed segment, a multiple of `batch`
    """

    path: Path
    container: InputContainer
    stream: VideoStream
    encoding: Encoding
    canvas: Canvas
    batch: int
    segment: int
    total: int | None
    limits: Limits
    reader: Reader
    upright: Upright
    decided: tuple[str, ...]
    read: int = 0
    _frames: Iterator[VideoFrame] = field(repr=False, default_factory=lambda: iter(()))

    @property
    def health(self) -> Health:
        """What was wrong with the clip so far."""
        return self.reader.health

    @property
    def notes(self) -> tuple[str, ...]:
        """What was converted, left out or repaired so far, in sentences without a full stop."""
        return (*self.decided, *self.upright.notes.values(), *_health_notes(self.health), *self._shortfall())

    def _shortfall(self) -> Iterator[str]:
        """Frames that the headers promise and the data do not hold."""
        settings = self.encoding.settings
        promised = 0 if settings.start or settings.duration is not None else self.stream.frames - self.health.hidden
        if 0 < self.read < promised:  # nothing is known before the first frame
            yield f"the source holds {self.read} of the {promised} frames that its headers promise; all were kept"

    def batches(self, *, first: int = 0, last: int | None = None) -> Iterator[Batch]:
        """Batches of the frames `first` up to but without `last`; none crosses a segment's end."""
        frames: list[VideoFrame] = []
        planes: list[Samples] = []
        count = first
        for frame in self.frames(first=first, last=last):
            enlarged, samples = self.canvas.split(frame)
            frames.append(enlarged)
            planes.append(samples)
            count += 1
            if len(frames) == self.batch or count % self.segment == 0:
                yield _batch(frames, planes)
                frames, planes = [], []
        if frames:
            yield _batch(frames, planes)

    def frames(self, *, first: int = 0, last: int | None = None) -> Iterator[VideoFrame]:
        """Decoded frames, upright and progressive."""
        for index, frame in enumerate(self._frames):
            if last is not None and index >= last:
                return
            self.read = index + 1
            check_limits(self.path.name, self.limits, frames=self.read)
            if index >= first:
                yield frame


@contextmanager
def open_clip(path: Path, settings: Settings, *, scale: int, limits: Limits | None = None) -> Iterator[Clip]:
    """Open a clip and decide how it is enlarged.

    Raises:
        InputError: it cannot be opened (see `source.open_source`) or no frame of the wanted part decodes.
    """
    limits = limits or GENEROUS
    part = None if settings.duration is None else float(settings.duration)
    with open_source(path, limits=limits, part=part) as container:
        stream = video_stream(container)
        assert stream is not None  # open_source has checked
        reader = Reader(container, stream, start=settings.start, duration=settings.duration)
        upright = Upright(reader.time_base)
        frames = upright.frames(reader)
        first = next(frames, None)
        if first is None:
            raise InputError(_nothing(path, settings))
        check_limits(path.name, limits, pixels=first.width * first.height)
        yield _decide(path, container, stream, settings, scale, limits, reader, upright, first, frames)


def _decide(
    path: Path,
    container: InputContainer,
    stream: VideoStream,
    settings: Settings,
    scale: int,
    limits: Limits,
    reader: Reader,
    upright: Upright,
    first: VideoFrame,
    frames: Iterator[VideoFrame],
) -> Clip:
    transparent = is_transparent(first)
    bits = max((component.bits for component in first.format.components), default=8)
    encoder, reason, notes = choose_encoder(settings, bits=bits, alpha=transparent, chroma=chroma_layout(first.format))
    alpha = (encoder, settings.container) in _ALPHA
    depths = ALPHA_DEPTHS if transparent and encoder == "libvpx-vp9" else DEPTHS[encoder]
    layout, converted = choose_layout(first.format, depths=depths, transparent=transparent, alpha=alpha)
    aspect = stream.sample_aspect_ratio or None
    if aspect is not None and upright.turn is not None and upright.turn.sideways:
        aspect = 1 / aspect
    batch = batch_frames(first.width, first.height)
    location = _location(container, stream, upright) if "420" in layout.result else ""
    if encoder == "libvpx-vp9" and location not in ("", "left"):  # which is what players take for granted
        notes.append(f"the chroma location ({location}) is not told: VP9 has no field for it")
    encoding = Encoding(
        encoder=encoder,
        reason=reason,
        settings=settings,
        layout=layout,
        tags=read_tags(first, layout, location),
        light=read_light([first]),
        width=first.width * scale,
        height=first.height * scale,
        rate=min(reader.rate, Fraction(_FASTEST)),
        time_base=reader.time_base,
        aspect=aspect,
    )
    return Clip(
        path=path,
        container=container,
        stream=stream,
        encoding=encoding,
        canvas=Canvas(layout, scale),
        batch=batch,
        segment=segment_frames(first.width, first.height, batch),
        total=_total(container, stream, settings),
        limits=limits,
        reader=reader,
        upright=upright,
        decided=(*notes, *converted),
        _frames=chain([first], frames),
    )


def _location(container: InputContainer, stream: VideoStream, upright: Upright) -> str:
    assert upright.turn is not None  # it has seen the first frame
    return turn_location(chroma_location(container, stream), upright.turn.signs)


def _batch(frames: list[VideoFrame], planes: list[Samples]) -> Batch:
    import numpy as np

    return Batch(frames, np.concatenate(planes))


def _total(container: InputContainer, stream: VideoStream, settings: Settings) -> int | None:
    count, length = frame_count(container, stream), seconds(container, stream)
    if count is None or length is None or not (settings.start or settings.duration):
        return count
    rest = max(0.0, length - float(settings.start))
    part = rest if settings.duration is None else min(rest, float(settings.duration))
    return max(1, round(count * part / length))


def _nothing(path: Path, settings: Settings) -> str:
    if settings.start:
        return f"{path.name} has no frame {float(settings.start):g} s after its beginning: choose an earlier start."
    return f"{path.name} holds no frame that can be decoded: it is damaged or empty."


def _health_notes(health: Health) -> Iterator[str]:
    if health.repeated:
        yield f"frames that did not decode and repeat the one before: {health.repeated}"
    if health.patched:
        yield f"damaged frames whose gaps the decoder filled: {health.patched}"
    if health.refused and not health.repeated:
        yield f"the source is damaged: the decoder refused {health.refused} times"
    if health.cut_off:
        yield "the source ends in the middle of its data: what could be read is in the result"
    if health.retimed:
        yield f"{health.retimed} frames had times that do not rise and were moved"
