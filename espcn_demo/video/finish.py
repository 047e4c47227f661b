"""The end of a run, wherever the segments were made: join, verify, give the result its name, report."""

from __future__ import annotations

import os
from dataclasses import asdict
from fractions import Fraction
from pathlib import Path
from typing import Protocol

from .clip import Clip
from .mux import Joined, join
from .report import Stages, VideoReport, bottleneck
from .routes import Window
from .segments import Segment, Workshop
from .settings import Settings
from .source import open_source, video_stream
from .verify import Expected, verify


class Engine(Protocol):
    """What a report tells of the engine: the part of `Upscaler` that workers elsewhere can tell too."""

    @property
    def name(self) -> str:
        """Short, with the precision."""

    @property
    def reason(self) -> str:
        """Why it was chosen, one sentence."""

    @property
    def scale(self) -> int:
        """How much each axis grows."""


def complete(clip: Clip, workshop: Workshop, out: Path, *, first: float | None, last: float | None) -> Joined:
    """Join the segments and the clip's other streams, verify the result, and only then give it its name.

    first, last  mean luma of the source's first and last frame as shares of white, None when not known

    Raises:
        InputError: the result is not sound.
    """
    segments = workshop.segments
    draft = workshop.folder / f"draft{out.suffix}"
    joined = _join(clip, workshop, draft)
    span = (segments[-1].last - segments[0].first) * clip.encoding.time_base
    if clip.encoding.settings.container == "gif" and clip.encoding.layout.alpha:
        first = last = None  # what lies under transparent places is gone
    verify(draft, Expected(workshop.frames - joined.dropped, span, first, last))
    os.replace(draft, out)
    return joined


def report(
    clip: Clip,
    engine: Engine,
    segments: list[Segment],
    out: Path,
    joined: Joined,
    stages: Stages,
    *,
    resumed: int,
    seconds: float,
) -> VideoReport:
    """What became of the clip."""
    encoding = clip.encoding
    frames = sum(segment.frames for segment in segments) - joined.dropped
    length = float((segments[-1].last + segments[-1].hold - segments[0].first) * encoding.time_base)
    return VideoReport(
        input=str(clip.path),
        output=str(out),
        width=encoding.width,
        height=encoding.height,
        scale=engine.scale,
        backend=engine.name,
        reason=engine.reason,
        encoder=encoding.encoder if encoding.encoder != "ffv1" else "gif",
        frames=frames,
        duration=round(length, 6),
        fps=round(frames / length, 4) if length else 0.0,
        seconds=round(seconds, 3),
        stages=stages,
        bottleneck=bottleneck(stages),
        audio=joined.audio,
        damaged=clip.health.repeated,
        resumed=resumed,
        notes=(*clip.notes, *joined.notes),
    )


def mark(clip: Clip) -> dict[str, str]:
    """What identifies the encoder's results."""
    import av

    return {"pyav": av.__version__} | {name: str(value) for name, value in asdict(clip.encoding).items()}


def clip_window(clip: Clip) -> Window:
    """The part of the other streams that goes with the frames."""
    settings = clip.encoding.settings
    if not settings.start and settings.duration is None:
        return Window()
    begin = Fraction(max(0, clip.container.start_time or 0), 1_000_000) + settings.start
    end = None if settings.duration is None else begin + settings.duration
    return Window(begin if settings.start else None, end, settings.start)  # a sound's lead-in belongs to the beginning


def _join(clip: Clip, workshop: Workshop, draft: Path) -> Joined:
    """Put the result together, from the source opened afresh."""
    if clip.encoding.settings.container == "gif":
        from .gif import write_gif

        return write_gif(workshop.folder, workshop.segments, clip, draft)
    with open_source(clip.path, limits=clip.limits, part=_part(clip.encoding.settings)) as source:
        chosen = video_stream(source)
        assert chosen is not None
        return join(workshop.folder, workshop.segments, source, chosen, clip.encoding, draft, clip_window(clip))


def _part(settings: Settings) -> float | None:
    return None if settings.duration is None else float(settings.duration)
