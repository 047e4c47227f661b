"""Writing a GIF: each frame with a palette of its own, transparency kept."""

from __future__ import annotations

from collections.abc import Iterator
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


def write_gif(folder: Path, segments: list[Segment], clip: Clip, out: Path) -> Joined:
    """Turn lossless segments into a GIF; its clock counts hundredths of a second."""
    import av

    side = SideStreams()
    with av.open(str(out), "w", format="gif", container_options={"loop": "0"}) as container:
        with open_source(clip.path, limits=clip.limits) as source:
            chosen = video_stream(source)
            assert chosen is not None
            side.add(source, chosen, container, Window())
        stream: Any = container.add_stream("gif", rate=clip.encoding.rate)
        stream.width, stream.height, stream.pix_fmt = clip.encoding.width, clip.encoding.height, "pal8"
        stream.codec_context.time_base = clip.encoding.time_base
        graph = _palette_graph(clip.encoding)
        for frame in _paletted(graph, _frames(folder, segments, clip.encoding)):
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return Joined("none", tuple(side.notes))


def _frames(folder: Path, segments: list[Segment], encoding: Encoding) -> Iterator[VideoFrame]:
    import av

    for segment in segments:
        with av.open(str(folder / segment.file)) as container:
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                assert frame.pts is not None and frame.time_base is not None
                frame.pts = segment.first + round(frame.pts * frame.time_base / encoding.time_base)
                frame.time_base = encoding.time_base
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
