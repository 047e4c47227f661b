"""Writing a GIF: each frame with a palette of its own, transparency kept."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .encode import Encoding
from .mux import Joined
from .routes import Window
from .segments import Segment
from .side import SideStreams
from .source import open_source, video_stream

if TYPE_CHECKING:
    from av.filter import Graph
    from av.video.frame import VideoFrame

    from .clip import Clip


_TICK = Fraction(1, 100)  # second
FASTEST = 50  # frames a second
_SHORTEST = 2  # ticks; FFmpeg and browsers show a shorter frame for ten
_ASPECTS = (Fraction(15, 64), Fraction(270, 64))  # pixel aspects that the header holds, in steps of 1/64


def write_gif(folder: Path, segments: list[Segment], clip: Clip, out: Path) -> Joined:
    """Turn lossless segments into a GIF; its clock counts hundredths of a second and begins at zero."""
    import av

    side, encoding, last = SideStreams(), clip.encoding, segments[-1]
    options = {"loop": "0", "final_delay": str(max(_SHORTEST, round(100 * last.hold * encoding.time_base)))}
    with av.open(str(out), "w", format="gif", container_options=options) as container:
        with open_source(clip.path, limits=clip.limits) as source:
            chosen = video_stream(source)
            assert chosen is not None
            side.add(source, chosen, container, Window())
        stream: Any = container.add_stream("gif", rate=encoding.rate)
        stream.width, stream.height, stream.pix_fmt = encoding.width, encoding.height, "pal8"
        stream.codec_context.time_base = encoding.time_base
        if encoding.aspect is not None and _ASPECTS[0] <= encoding.aspect <= _ASPECTS[1]:
            stream.codec_context.sample_aspect_ratio = encoding.aspect
        frames = _Sparse(_frames(folder, segments, encoding))
        for frame in _paletted(_palette_graph(encoding), iter(frames)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    side.notes += gif_notes(encoding, fast=frames.dropped > 0, late=segments[0].first * encoding.time_base >= _TICK)
    return Joined("none", tuple(side.notes), frames.dropped)


def gif_notes(encoding: Encoding, *, fast: bool, late: bool) -> Iterator[str]:
    """What GIF does not hold: frames that come too `fast`, the time of a first one that comes `late`, pixel aspects."""
    if fast:
        yield "frames that follow another within 15 ms were left out: GIF shows at most 50 a second"
    if late:
        yield "the first frame's time became zero: GIF begins with its first frame"
    if encoding.aspect not in (None, 1):
        yield f"the pixel aspect {encoding.aspect} is in GIF's header to the nearest 1/64, which browsers do not follow"


class _Sparse:
    """Frames that GIF's clock can tell apart; `dropped` counts the others."""

    def __init__(self, frames: Iterator[VideoFrame]) -> None:
        self._frames, self.dropped = frames, 0

    def __iter__(self) -> Iterator[VideoFrame]:
        last: int | None = None
        for frame in self._frames:
            assert frame.pts is not None and frame.time_base is not None
            time = round(100 * frame.pts * frame.time_base)
            if last is not None and time - last < _SHORTEST:
                self.dropped += 1
                continue
            last = time
            yield frame


def _frames(folder: Path, segments: list[Segment], encoding: Encoding) -> Iterator[VideoFrame]:
    import av

    for segment in segments:
        with av.open(str(folder / segment.file)) as container:
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                assert frame.pts is not None and frame.time_base is not None
                time = segment.first - segments[0].first + round(frame.pts * frame.time_base / encoding.time_base)
                frame.pts, frame.time_base = time, encoding.time_base
                yield frame


def _palette_graph(encoding: Encoding) -> Graph:
    from av.filter import Graph

    tags, graph = encoding.tags, Graph()
    source = graph.add(
        "buffer",
        f"video_size={encoding.width}x{encoding.height}:pix_fmt={encoding.layout.result}"
        f":time_base={encoding.time_base}:pixel_aspect=1/1:colorspace={tags.matrix}:range={tags.range}",
    )
    rgb = graph.add("scale", "flags=bicubic+accurate_rnd+full_chroma_int")
    wide = graph.add("format", "pix_fmts=rgba" if encoding.layout.alpha else "pix_fmts=rgb24|bgra")
    split = graph.add("split")
    make, use = graph.add("palettegen", "stats_mode=single"), graph.add("paletteuse", "new=1")
    sink = graph.add("buffersink")
    graph.link_nodes(source, rgb, wide, split)
    split.link_to(use, 0, 0)
    split.link_to(make, 1, 0)
    make.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    return graph


def _paletted(graph: Graph, frames: Iterator[VideoFrame]) -> Iterator[VideoFrame]:
    for frame in frames:
        graph.vpush(frame)
        yield from _ready(graph)
    graph.vpush(None)
    yield from _ready(graph)


def _ready(graph: Graph) -> Iterator[VideoFrame]:
    from av.error import BlockingIOError, EOFError

    while True:
        try:
            yield graph.vpull()
        except (BlockingIOError, EOFError):
            return
