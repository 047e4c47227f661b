"""Answers before the work: short excerpts are really enlarged; time, size and gain of the whole follow from them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..limits import Limits
from .excerpt import Part, choose_excerpts, complexity, packet_sizes, predict_bytes, result_sizes, settled
from .facts import Facts, read_facts
from .luma import Luma, sample_luma
from .plan import Plan
from .plan import plan as make_plan
from .quality import EQUAL
from .report import Progress, VideoReport
from .shrinking import gain_of

if TYPE_CHECKING:
    from ..upscaler import Upscaler

SECONDS = 2.0  # of the clip that are enlarged for the prediction
SAMPLES = 16  # frames whose gain is measured: it differs from frame to frame
ONE_LOOK = 1.0  # seconds; a frame that takes longer is not run again only to be timed


@dataclass(frozen=True)
class Estimate:
    """What enlarging the whole clip would take and bring.

    seconds          of work, with opening the engine, on this machine as busy as it was
    bytes            of the result
    gain             PSNR over bicubic in dB by shrink-and-restore of luma, None for frames too small to shrink
    network, bicubic the two PSNRs, dB
    frames           expected in the result; `fps` of the work
    excerpts         start and length in seconds of the parts that were really enlarged; `spent` the seconds it took
    engine           what computed
    """

    seconds: float
    bytes: int
    gain: float | None
    network: float | None
    bicubic: float | None
    frames: int
    fps: float
    excerpts: tuple[Part, ...]
    spent: float
    engine: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    def text(self) -> str:
        """One sentence a figure."""
        gain = "no gain measured (frames too small)" if self.gain is None else f"{self.gain:+.2f} dB over bicubic"
        return (
            f"about {clock(self.seconds)} of work ({self.fps:.1f} frames a second, {self.engine}), "
            f"about {size(self.bytes)}, {gain}"
        )


def estimate(
    path: Path,
    upscaler: Upscaler,
    seconds: float = SECONDS,
    *,
    out_suffix: str = ".mp4",
    codec: str = "h264",
    crf: int = 18,
    preset: str | None = None,
    opening: float = 0.0,
    limits: Limits | None = None,
    facts: Facts | None = None,
    plan: Plan | None = None,
) -> Estimate:
    """Enlarge up to `seconds` of the clip into a temporary file and predict the whole.

    opening  seconds that opening the engine took: added, since the real run opens it too

    Raises:
        InputError: the clip cannot be enlarged, or the settings are not offered.
    """
    begin = time.perf_counter()
    path = Path(path)
    facts = facts or read_facts(path, limits=limits)
    options: dict[str, Any] = {"codec": codec, "crf": crf, "preset": preset, "limits": limits}
    plan = plan or make_plan(path, facts, out_suffix=out_suffix, scale=upscaler.scale, **options)
    gain = measure_gain(path, upscaler, SAMPLES, limits=limits)
    parts: list[Part | None] = [*choose_excerpts(facts, seconds, gain.pace)] or [None]
    with tempfile.TemporaryDirectory(prefix="espcn-estimate-") as folder:
        excerpts = [
            enlarge_excerpt(path, Path(folder, f"{index}{out_suffix}"), upscaler, part, options)
            for index, part in enumerate(parts)
        ]
    found = predict(path, facts, gain, excerpts, segment=plan.segment, limits=limits)
    return replace(
        found,
        seconds=round(found.seconds + opening, 3),
        spent=round(time.perf_counter() - begin, 3),
        engine=upscaler.name,
    )


@dataclass(frozen=True)
class Gain:
    """Mean PSNR in dB on sampled frames, None for frames too small to shrink.

    pace  seconds that the network takes for a whole frame
    """

    network: float | None
    bicubic: float | None
    pace: float

    @property
    def over_bicubic(self) -> float | None:
        """The network's PSNR less that of bicubic, dB."""
        return None if self.network is None or self.bicubic is None else round(self.network - self.bicubic, 4)


@dataclass(frozen=True)
class Excerpt:
    """A `part` (None: the whole) that was really enlarged.

    pace     seconds a frame between its first and last batch, None when there was one batch only
    fixed    all other seconds of those `spent`
    packets  key frame or not, and bytes, of the result's pictures; `other` the bytes of all else
    """

    part: Part | None
    report: VideoReport
    pace: float | None
    fixed: float
    spent: float
    packets: list[tuple[bool, int]]
    other: int


def measure_gain(
    path: Path,
    upscaler: Upscaler,
    samples: int,
    *,
    start: float = 0.0,
    duration: float | None = None,
    side: int | None = None,
    limits: Limits | None = None,
) -> Gain:
    """Shrink and restore about `samples` frames of a part: their middle of `side` pixels a side, None for all of them.

    Raises:
        InputError: the clip cannot be read.
    """
    found: list[tuple[float, float]] = []
    pace = 0.0
    for luma in sample_luma(path, samples, start=start, duration=duration, limits=limits):
        pace = pace or _pace(luma, upscaler)
        try:
            found.append(gain_of(_middle(luma, side), upscaler))
        except InputError:
            break
    if not found:
        return Gain(None, None, pace)
    network, bicubic = (float(np.mean([min(pair[index], EQUAL) for pair in found])) for index in (0, 1))
    return Gain(network, bicubic, pace)


def enlarge_excerpt(
    path: Path, out: Path, upscaler: Upscaler, part: Part | None, options: Mapping[str, Any]
) -> Excerpt:
    """Enlarge a part into `out` with `options` of `upscale_video`, and note where the time and the bytes went.

    Raises:
        InputError: see `upscale_video`.
    """
    from .upscale import upscale_video

    marks: list[tuple[float, int]] = []

    def tell(progress: Progress) -> None:
        marks.append((time.perf_counter(), progress.frames))

    cut: dict[str, Any] = {} if part is None else {"start": part[0], "duration": part[1]}
    begin = time.perf_counter()
    report = upscale_video(path, out, upscaler=upscaler, on_progress=tell, **cut, **options)
    spent = time.perf_counter() - begin
    packets, other = result_sizes(out)
    (first, done), (last, all_) = marks[0], marks[-1]
    pace = (last - first) / (all_ - done) if all_ > done else None
    fixed = max(0.0, spent - (pace or 0.0) * report.frames)
    return Excerpt(part, report, pace, fixed, spent, packets, other)


def predict(
    path: Path,
    facts: Facts,
    gain: Gain,
    excerpts: Sequence[Excerpt],
    *,
    segment: int,
    wanted: Part | None = None,
    limits: Limits | None = None,
) -> Estimate:
    """What enlarging the clip, or the `wanted` part of it, takes and brings, from excerpts of it.

    segment  frames between two key frames of the result at most
    """
    frames = facts.frames or 1
    covered = sum(one.report.duration for one in excerpts)
    length = facts.duration or covered
    if wanted is not None:
        frames, length = max(1, round(wanted[1] * facts.fps)), wanted[1]
    work = _predict_seconds(excerpts, frames, gain.pace)
    enlarged = sum(one.report.frames for one in excerpts)
    parts = [one.part for one in excerpts if one.part is not None and enlarged < frames]  # else nothing is guessed
    factor = 1.0
    if parts:
        begin, end = (0.0, np.inf) if wanted is None else (wanted[0], wanted[0] + wanted[1])
        sizes = [(moment, bytes_) for moment, bytes_ in packet_sizes(path, limits) if begin <= moment < end]
        factor = complexity(sizes, parts)
    packets = [packet for one in excerpts for packet in (settled(one.packets) if parts else one.packets)]
    bytes_ = predict_bytes(packets, frames, segment, factor)
    other = sum(one.other for one in excerpts) * max(1.0, length / covered)
    return Estimate(
        seconds=round(work, 3),
        bytes=round(bytes_ + other),
        gain=gain.over_bicubic,
        network=gain.network,
        bicubic=gain.bicubic,
        frames=frames,
        fps=round(frames / work, 3),
        excerpts=tuple(parts) or ((0.0, round(covered, 3)),),
        spent=round(sum(one.spent for one in excerpts), 3),
        engine=excerpts[0].report.backend,
    )


def _predict_seconds(excerpts: Sequence[Excerpt], frames: int, network: float) -> float:
    """The whole's frames at the excerpts' pace, and once what the first took besides: opening, joining, verifying.

    network  seconds a frame for the network alone, the pace where no excerpt has one
    """
    paces = [(one.pace, one.report.frames) for one in excerpts if one.pace is not None]
    enlarged = sum(one.report.frames for one in excerpts)
    if frames <= enlarged:
        return sum(one.spent for one in excerpts) * frames / enlarged
    pace = sum(pace * count for pace, count in paces) / sum(count for _, count in paces) if paces else network
    return pace * frames + excerpts[0].fixed


def _pace(luma: Luma, upscaler: Upscaler) -> float:
    """Seconds for a whole frame; the first call compiles for this size, so a quick one is repeated."""
    spent = 0.0
    for _ in range(2):
        begin = time.perf_counter()
        upscaler.upscale(luma.plane[None], white=luma.white)
        spent = time.perf_counter() - begin
        if spent > ONE_LOOK:
            break
    return spent


def _middle(luma: Luma, side: int | None) -> Luma:
    if side is None:
        return luma
    top, left = (max(0, (whole - side) // 2) for whole in luma.plane.shape)
    return replace(luma, plane=luma.plane[top : top + side, left : left + side])


def clock(seconds: float) -> str:
    """Seconds for people: "8 s", "3 min 20 s", "1 h 5 min"."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def size(bytes_: int) -> str:
    """Bytes for people, in decimal units: "420 kB", "3.4 MB", "1.2 GB"."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6)):
        if bytes_ >= factor:
            return f"{bytes_ / factor:.1f} {unit}"
    return f"{max(1, round(bytes_ / 1e3))} kB"
