"""How fast one worker is on this machine: the figures that a plan is made of."""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from fractions import Fraction
from itertools import takewhile
from pathlib import Path

_SAMPLE = 1.0  # seconds that decoding alone is measured


@dataclass(frozen=True)
class Rates:
    """What one worker does.

    fps       frames a second, decoding and encoding included
    skip_fps  frames a second that it only decodes, on its way to a segment further on
    segment   frames in a segment
    bits      of an enlarged frame, as encoded
    source    where the figures come from
    """

    fps: float
    skip_fps: float
    segment: int
    bits: float
    source: str


def measure(clip: Path, *, worker_cpus: float = 1.0, backend: str = "auto", weights: str | None = None) -> Rates:
    """What one worker does with a clip on this machine: a real segment, in this process, on as many cores.

    Raises:
        InputError: the clip cannot be used, or no engine runs.
    """
    from espcn_demo.cluster.cores import keep_to_cores
    from espcn_demo.cluster.reel import Reel
    from espcn_demo.cluster.sources import describe
    from espcn_demo.cluster.tasks import Piece
    from espcn_demo.limits import GENEROUS
    from espcn_demo.upscaler import open_upscaler
    from espcn_demo.video.clip import open_clip
    from espcn_demo.video.settings import check_settings

    kept = keep_to_cores(worker_cpus)
    engine = open_upscaler(weights=weights, backend=backend)
    settings = check_settings(Path("out.mp4"), codec="h264", crf=18, preset=None, start=None, duration=None)
    with open_clip(clip, settings, scale=2) as opened:
        begin = time.perf_counter()
        skipped = sum(1 for _ in takewhile(lambda _: time.perf_counter() - begin < _SAMPLE, opened.frames()))
        skip_fps = skipped / max(1e-6, time.perf_counter() - begin)
        encoding, segment = opened.encoding, opened.segment
    piece = Piece(0, describe(clip), settings, encoding, GENEROUS, 0, segment)
    with tempfile.TemporaryDirectory() as folder:
        reel = Reel(clip, piece, scale=2)
        reel.make(piece, engine, Path(folder))  # the engine compiles for the size meanwhile
        reel.close()
        reel = Reel(clip, piece, scale=2)
        made = reel.make(piece, engine, Path(folder))
        reel.close()
    assert made.segment is not None  # open_clip has seen a frame
    where = f"measured on {clip.name} with {engine.name}, {len(kept) or 'all'} cores"
    return Rates(made.frames / made.seconds, skip_fps, segment, 8 * made.segment.bytes / made.frames, where)


def make_clip(path: Path, width: int, height: int, *, frames: int = 48) -> None:
    """A clip of moving waves with fine noise, for measuring where no sample is at hand."""
    import av
    import numpy as np

    random = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    noise = random.integers(0, 24, (height, width), np.int64)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=Fraction(25))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(frames):
            waves = 128 + 60 * np.sin((x + 3 * index) / 19) * np.cos((y + index) / 13)
            luma = (waves + np.roll(noise, 2 * index, axis=1)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(luma, "gray").reformat(format="yuv420p")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
