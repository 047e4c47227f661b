"""A clip as a player shows it: upright, square pixels, 8-bit RGB, the right frame for a moment in time.

Only for looking at (comparisons, previews); the work itself never leaves the clip's own planes.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import InputError
from ..limits import GENEROUS, Limits
from . import source
from .facts import orientation
from .picture import is_still

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

Picture = NDArray[np.uint8]
HD_HEIGHT = 720  # players take untagged clips from this height on for BT.709, smaller ones for BT.601


class Playback:
    """Shows a clip frame after frame; use it as a context manager. `start` is the time of its first frame in seconds.

    path     the clip
    matrix   "bt709" or "bt601" for clips that do not say; None goes by height, as players do
    """

    def __init__(self, path: Path, *, matrix: str | None = None, limits: Limits | None = None) -> None:
        self.path, self._limits = Path(path), limits
        self._stack = ExitStack()
        self._current: VideoFrame
        self._next: VideoFrame | None
        self._open()
        self.matrix = matrix or ("bt709" if self._current.height >= HD_HEIGHT else "bt601")
        self.rotation, self.mirrored = orientation(self._current)
        self.size = self._shown_size()
        self._picture: tuple[int | None, Picture] | None = None

    def __enter__(self) -> Playback:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def at(self, moment: float) -> Picture:
        """The frame shown `moment` seconds after the first one, (H, W, 3) uint8; the last one when beyond the end."""
        if moment + 1e-4 < self._time(self._current) - self.start:
            self._open()
        while self._next is not None and self._time(self._next) - self.start <= moment + 1e-4:
            self._current, self._next = self._next, next(self._frames, None)
        if self._picture is None or self._picture[0] != self._current.pts:
            self._picture = (self._current.pts, self._upright(self._current))
        return self._picture[1]

    def _open(self) -> None:
        self._stack.close()
        container = self._stack.enter_context(source.open_source(self.path, limits=self._limits))
        video = source.video_stream(container)
        assert video is not None  # open_source has checked
        self.rate = source.frame_rate(video)
        self.duration = source.seconds(container, video)
        self._aspect = video.sample_aspect_ratio or 1
        self._frames = _decodable(container.decode(video))
        first = next(self._frames, None)
        if first is None:
            raise InputError(f"{self.path.name} has no frame that can be decoded.")
        self._current, self._next = first, next(self._frames, None)
        self.start: float = self._time(first)

    def _time(self, frame: VideoFrame) -> float:
        return frame.time if frame.pts is not None else 0.0

    def _shown_size(self) -> tuple[int, int]:
        width, height = round(self._current.width * float(self._aspect)), self._current.height
        return (height, max(width, 1)) if self.rotation in (90, 270) else (max(width, 1), height)

    def _upright(self, frame: VideoFrame) -> Picture:
        options: dict[str, Any] = {"format": "rgb24"}
        if int(frame.colorspace) == source.UNSPECIFIED:
            options["src_colorspace"] = "itu709" if self.matrix == "bt709" else "itu601"
        picture = np.asarray(frame.to_ndarray(**options), np.uint8)
        picture = np.rot90(picture, -self.rotation // 90)
        if self.mirrored:
            picture = picture[:, ::-1]
        return enlarged(np.ascontiguousarray(picture), self.size)


class Standing:
    """A picture that does not move, shown like a clip without length."""

    def __init__(self, path: Path, *, limits: Limits | None = None) -> None:
        from ..image.reading import read_picture

        samples = read_picture(Path(path), limits=limits or GENEROUS)
        colour = samples.colour if samples.bits == 8 else samples.colour >> 8
        colour = np.dstack([colour] * 3) if samples.is_grey else colour
        self._picture = np.ascontiguousarray(colour, np.uint8)
        self.size = (samples.width, samples.height)
        self.rate, self.duration, self.matrix, self.start = Fraction(25), None, "bt709", 0.0

    def at(self, moment: float) -> Picture:
        """The picture, (H, W, 3) uint8, at any time."""
        return self._picture


@contextmanager
def open_shown(path: Path, *, limits: Limits | None = None) -> Iterator[Playback | Standing]:
    """A clip or a picture, to be shown.

    Raises:
        InputError: it is neither, or damaged.
    """
    if is_still(Path(path)):
        yield Standing(path, limits=limits)
    else:
        with Playback(path, limits=limits) as clip:
            yield clip


def enlarged(picture: Picture, size: tuple[int, int]) -> Picture:
    """A picture (H, W, 3) resampled bicubically to `size` (width, height); itself when it has that size."""
    if (picture.shape[1], picture.shape[0]) == size:
        return picture
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC))


def _decodable(frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    """Frames until the end or the first error: what a player would show."""
    from av.error import FFmpegError

    try:
        yield from frames
    except FFmpegError:
        return
