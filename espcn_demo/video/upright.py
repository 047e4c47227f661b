"""Frames made ready for the network: deinterlaced, turned upright, of one size.

A display matrix is carried out on the pixels, not passed on: a result without one is upright in every player and in
containers that cannot hold it. FFmpeg's filters do the work on the planes as they are, without RGB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from av.filter import Graph
    from av.sidedata.sidedata import SideData
    from av.video.frame import VideoFrame

# Signs of the display matrix (a, b, c, d), where x' = a x + c y and y' = b x + d y -> filters that carry it out.
_TURNS: dict[tuple[int, int, int, int], tuple[tuple[str, str], ...]] = {
    (1, 0, 0, 1): (),
    (-1, 0, 0, 1): (("hflip", ""),),
    (1, 0, 0, -1): (("vflip", ""),),
    (-1, 0, 0, -1): (("hflip", ""), ("vflip", "")),
    (0, 1, 1, 0): (("transpose", "dir=cclock_flip"),),
    (0, 1, -1, 0): (("transpose", "dir=clock"),),
    (0, -1, 1, 0): (("transpose", "dir=cclock"),),
    (0, -1, -1, 0): (("transpose", "dir=clock_flip"),),
}
_SMALLEST = 3  # bwdif needs this many rows and columns


class Turn(NamedTuple):
    """What a display matrix asks for: its signs, the filters that do it, and whether width and height change places."""

    signs: tuple[int, int, int, int] = (1, 0, 0, 1)
    filters: tuple[tuple[str, str], ...] = ()
    sideways: bool = False
    known: bool = True  # False: not a quarter turn or mirror, left out


@dataclass
class Upright:
    """Turns frames upright and deinterlaces them; `notes` tells what was done.

    The first frame decides the turn and the size: later frames of another size are scaled to it.
    """

    time_base: Fraction
    deinterlaced: bool = False
    notes: dict[str, str] = field(default_factory=dict)
    turn: Turn | None = None
    _graph: Graph | None = None
    _key: tuple[object, ...] = ()
    _size: tuple[int, int] | None = None
    _duration: int = 1

    def frames(self, frames: Iterable[VideoFrame]) -> Iterator[VideoFrame]:
        """The same number of frames with the same times, upright and progressive."""
        for frame in frames:
            if self.turn is None:
                self._look(frame)
            if frame.interlaced_frame and min(frame.width, frame.height) >= _SMALLEST:
                self.deinterlaced = True
            key = (frame.width, frame.height, frame.format.name, self.deinterlaced)
            if key != self._key:
                yield from self._drain()
                self._graph, self._key = self._build(frame), key
            if self._graph is None:
                yield frame
            else:
                self._duration = frame.duration
                self._graph.vpush(frame)
                yield from self._pull(self._graph)
        yield from self._drain()

    def _look(self, first: VideoFrame) -> None:
        self.turn = find_turn(first)
        if not self.turn.known:
            self.notes["turn"] = "the rotation tag is not a quarter turn and was left out"
        self._size = (first.width, first.height)

    def _build(self, frame: VideoFrame) -> Graph | None:
        from av.filter import Graph

        assert self.turn is not None
        filters: list[tuple[str, str]] = []
        if self.deinterlaced:
            filters.append(("bwdif", "mode=send_frame:parity=auto:deint=interlaced"))
            self.notes["interlaced"] = "interlaced frames were deinterlaced (bwdif)"
        if (frame.width, frame.height) != self._size and self._size is not None:
            filters.append(("scale", f"w={self._size[0]}:h={self._size[1]}:flags=bicubic"))
            self.notes["size"] = "the frame size changes within the clip; all frames have the size of the first"
        filters += self.turn.filters
        if not filters:
            return None
        graph = Graph()
        source = (
            f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}:time_base={self.time_base}"
            f":pixel_aspect=1/1:colorspace={int(frame.colorspace)}:range={int(frame.color_range)}"
        )
        nodes = [graph.add("buffer", source)]
        nodes += [graph.add(name, arguments) for name, arguments in filters]
        graph.link_nodes(*nodes, graph.add("buffersink"))
        graph.configure()
        return graph

    def _pull(self, graph: Graph) -> Iterator[VideoFrame]:
        from av.error import BlockingIOError, EOFError

        while True:
            try:
                frame = graph.vpull()
            except (BlockingIOError, EOFError):
                return
            # bwdif counts in half ticks; back to the stream's.
            if frame.pts is not None and frame.time_base is not None:
                frame.pts = round(frame.pts * frame.time_base / self.time_base)
            frame.time_base, frame.duration = self.time_base, self._duration
            yield frame

    def _drain(self) -> Iterator[VideoFrame]:
        if self._graph is not None:
            self._graph.vpush(None)
            yield from self._pull(self._graph)
        self._graph, self._key = None, ()


def find_turn(frame: VideoFrame) -> Turn:
    """The turn that the frame's display matrix asks for; none when there is no matrix or it is damaged."""
    for data in side_data(frame):
        if data.type.name == "DISPLAYMATRIX":
            matrix = np.frombuffer(bytes(data), "<i4").astype(np.int64)
            return _turn(int(matrix[0]), int(matrix[1]), int(matrix[3]), int(matrix[4]))
    return Turn()


def side_data(frame: VideoFrame) -> Iterator[SideData]:
    """The side data of a frame; PyAV types it as a mapping, but iterating gives the values."""
    yield from iter(frame.side_data)  # type: ignore[misc]  # typed as a mapping, whose keys these would be


def _turn(a: int, b: int, c: int, d: int) -> Turn:
    largest = max(abs(value) for value in (a, b, c, d))
    if largest == 0:
        return Turn(known=False)
    near = (round(a / largest), round(b / largest), round(c / largest), round(d / largest))
    filters = _TURNS.get(near)
    straight = all(abs(value / largest - sign) < 0.02 for value, sign in zip((a, b, c, d), near, strict=True))
    if filters is None or not straight:
        return Turn(known=False)
    return Turn(near, filters, near[0] == 0)
