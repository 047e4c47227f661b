"""What the worker process does for the page's clips: the quick preview, the whole run, and measuring."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from . import clips, wording
from .compare import Curve, Side, Value, clip
from .work import engine, fitting
from .work_watch import Watcher

if TYPE_CHECKING:
    from ..limits import Limits
    from ..video.report import VideoReport

PREVIEW_SECONDS = 2.0
PREVIEW_BUDGET = 2.4  # seconds for enlarging the preview; it is cut shorter where that would take longer
BESIDE = 1.3  # decoding and encoding go on beside the network, but not for nothing
FEWEST = 3  # frames of a preview
LOOKED_AT = 4  # frames of the preview whose gain is measured
GAIN_SIDE = 480  # pixels a side of the middle on which the gain is measured
SOURCE, SMOOTH = "Source (nearest)", "Source (smooth)"


@dataclass(frozen=True)
class ClipSettings:
    """What the Video tab asks for."""

    quality: str = "fast"
    measure: bool = False
    weights: str | None = None
    codec: str = "h264"
    crf: int = 18
    start: float = 0.0
    end: float = 0.0
    scale: int = 2

    @property
    def duration(self) -> float | None:
        """Seconds to work on, None for all."""
        return self.end - self.start if self.end > self.start else None

    def part(self, whole: float) -> tuple[float, float] | None:
        """Start and length of the part to work on, None for a whole clip of `whole` seconds."""
        if not self.start and self.duration is None:
            return None
        return self.start, self.duration or max(0.0, whole - self.start)


@dataclass(frozen=True)
class ClipResult:
    """Before and after of a clip; `download` is None for a preview."""

    left: tuple[Side, ...]
    right: Side
    width: int
    height: int
    times: tuple[float, ...]
    sound: bool
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    status: str
    scores: tuple[tuple[str, float, float], ...] = ()
    caption: str = ""
    curve: Curve | None = None
    download: Path | None = None
    seconds: float = 0.0
    stages: dict[str, float] | None = None

    def compared(self, identity: str) -> Value:
        """The compare component's value."""
        return clip(
            identity,
            self.left,
            self.right,
            width=self.width,
            height=self.height,
            times=self.times,
            sound=self.sound,
            curve=self.curve,
        )

    def shown(self, identity: str) -> Value:
        """What the tab shows of it, as plain values."""
        return {
            "compare": self.compared(identity),
            "facts": wording.facts(self.facts, self.notes),
            "scores": wording.scores(self.scores, caption=self.caption) if self.scores else "",
            "download": {"path": str(self.download)} if self.download else None,
            "status": self.status,
        }


def preview(
    path: Path,
    folder: Path,
    settings: ClipSettings,
    limits: Limits,
    on_progress: Callable[[ClipResult], None],
    cancelled: Event,
) -> ClipResult:
    """The first two seconds, before and after, with what the whole clip would take; shorter on a slow machine.

    Raises:
        InputError: it cannot be read, or is beyond the limits.
    """
    from ..video.estimate import enlarge_excerpt, measure_gain, predict
    from ..video.facts import read_facts
    from ..video.settings import batch_frames, segment_frames
    from ..video.source import open_source

    with open_source(path, limits=limits, part=settings.duration):  # refused here as the whole run would be
        facts = read_facts(path, limits=limits)
    settings, chosen = fitting(path, settings)
    upscaler = engine(settings.scale, settings.weights, settings.quality)
    wanted = settings.part(facts.duration or 0.0)
    length = min(PREVIEW_SECONDS, wanted[1]) if wanted else PREVIEW_SECONDS
    gain = measure_gain(path, upscaler, LOOKED_AT, start=settings.start, duration=length, side=GAIN_SIDE, limits=limits)
    if gain.pace:
        length = min(length, max(FEWEST, int(PREVIEW_BUDGET / (BESIDE * gain.pace))) / facts.fps)
    shown, target = replace(settings, end=settings.start + length), folder / "preview.mp4"
    excerpt = enlarge_excerpt(
        path,
        target,
        upscaler,
        (settings.start, length),
        {"codec": settings.codec, "crf": settings.crf, "limits": limits, "cancelled": cancelled},
    )
    segment = segment_frames(facts.width, facts.height, batch_frames(facts.width, facts.height))
    found = predict(path, facts, gain, [excerpt], segment=segment, wanted=wanted)
    report, name, soon = excerpt.report, "Part" if wanted else "Whole clip", wording.duration(found.seconds)
    told = [
        ("Size", f"{facts.width}×{facts.height} → {report.width}×{report.height}"),
        (name, f"{wording.duration(found.frames / facts.fps)}, {found.frames} frames"),
        ("Time, predicted", soon),
        ("File, predicted", wording.size(found.bytes)),
        ("Gain, measured", "" if found.gain is None else f"{found.gain:+.2f} dB over bicubic"),
        ("Engine", upscaler.name),
    ]
    text = f"Preview of {report.duration:.1f} s. Run enlarges the {name.lower()} in about {soon}."
    known = tuple(one for one in told if one[1])
    first = _beside(path, report, target, folder, shown, limits, facts=known, status=text)
    first = replace(first, notes=(*chosen, *first.notes))
    on_progress(first)
    return _with_bicubic(first, path, folder, shown, limits)


def video(
    path: Path,
    folder: Path,
    settings: ClipSettings,
    limits: Limits,
    on_progress: Callable[[object], None],
    cancelled: Event,
) -> ClipResult:
    """Enlarge the whole clip, or the part that was asked for; progress comes as Glimpse, then as a first ClipResult.

    Raises:
        InputError: the clip, the options or the disk: one sentence.
    """
    from ..video import upscale_video

    target = folder / f"{path.stem[:60] or 'clip'}-{settings.scale}x.mp4"
    settings, chosen = fitting(path, settings)
    upscaler = engine(settings.scale, settings.weights, settings.quality)
    report = upscale_video(
        path,
        target,
        upscaler=upscaler,
        codec=settings.codec,
        crf=settings.crf,
        start=settings.start or None,
        duration=settings.duration,
        limits=limits,
        on_progress=Watcher(folder, on_progress),
        cancelled=cancelled,
    )
    stages = {name: stage.spent for name, stage in report.stages.items()}
    told = (
        (
            "Size",
            f"{report.width // upscaler.scale}×{report.height // upscaler.scale} → {report.width}×{report.height}",
        ),
        ("Frames", f"{report.frames}, {report.frames / report.seconds:.1f} a second"),
        ("In all", wording.duration(report.seconds)),
        ("Stages", wording.stages(stages)),
        ("Sound", report.audio),
        ("File", wording.size(target.stat().st_size)),
        ("Engine", report.backend),
    )
    first = _beside(path, report, target, folder, settings, limits, facts=told, status="Done.")
    notes = (*chosen, *first.notes)
    first = replace(first, download=target, seconds=report.seconds, stages=stages, notes=notes)
    on_progress(first)
    return _with_bicubic(first, path, folder, settings, limits)


def _beside(
    path: Path,
    report: VideoReport,
    target: Path,
    folder: Path,
    settings: ClipSettings,
    limits: Limits,
    *,
    facts: tuple[tuple[str, str], ...],
    status: str,
) -> ClipResult:
    """The result beside its source, drawn by the browser from the small one: nothing has to be enlarged for it."""
    matrix = matrix_of(report.height)
    before = clips.write_clip(
        path,
        folder / "source.mp4",
        start=settings.start,
        duration=settings.duration,
        crf=12,
        matrix=matrix,
        limits=limits,
    )
    after, size = _playable(target, report, folder, matrix)
    sides = (Side(SMOOTH, before.path), Side(SOURCE, before.path, pixelated=True))
    return ClipResult(
        left=sides,
        right=Side(f"ESPCN {settings.scale}×", after),
        width=size[0],
        height=size[1],
        times=before.times[: report.frames],
        sound=after == target and report.audio != "none",
        facts=facts,
        notes=tuple(f"Note: {note}." for note in report.notes),
        status=status,
    )


def _with_bicubic(first: ClipResult, path: Path, folder: Path, settings: ClipSettings, limits: Limits) -> ClipResult:
    """The same with the bicubic clip to choose from too, unless that would take long."""
    if first.width * first.height * len(first.times) > 500_000_000:
        return first
    plain = clips.write_clip(
        path,
        folder / "bicubic.mp4",
        factor=settings.scale,
        start=settings.start,
        duration=settings.duration,
        crf=16,
        matrix=matrix_of(first.height),
        limits=limits,
    )
    return replace(first, left=(*first.left, Side("Bicubic", plain.path)))


def matrix_of(height: int) -> str:
    """What a browser takes an untagged clip of this height for; both sides follow it, so that their colours agree."""
    return "itu709" if height >= clips.HD_HEIGHT else "itu601"


def _playable(target: Path, report: VideoReport, folder: Path, matrix: str) -> tuple[Path, tuple[int, int]]:
    """The result itself where browsers play it frame by frame, else a copy that they do."""
    import av

    with av.open(str(target)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        plain = context.name == "h264" and context.pix_fmt == "yuv420p" and target.suffix == ".mp4"
        square = stream.sample_aspect_ratio in (None, 0, 1)
        at_zero = abs(float((stream.start_time or 0) * (stream.time_base or 0))) < 0.001
        fits = max(context.width, context.height) <= clips.LARGEST_SIDE
        if plain and square and at_zero and fits:
            return target, (context.width, context.height)
    copy = clips.write_clip(target, folder / "result-preview.mp4", crf=14, matrix=matrix)
    return copy.path, (copy.width, copy.height)
