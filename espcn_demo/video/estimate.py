"""Answers before the work: short excerpts are really enlarged; time, size and gain of the whole follow from them."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError
from ..limits import Limits
from .excerpt import Part, choose_excerpts, complexity, packet_sizes, predict_bytes, result_sizes, settled
from .facts import Facts, read_facts
from .luma import sample_luma
from .plan import Plan
from .plan import plan as make_plan
from .quality import EQUAL
from .report import Progress, VideoReport
from .shrinking import gain_of

if TYPE_CHECKING:
    from ..upscaler import Upscaler

SECONDS = 2.0  # of the clip that are enlarged for the prediction
SAMPLES = 16  # frames whose gain is measured: it differs from frame to frame


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
    frames = facts.frames or 1
    network, bicubic, pace = _measure_gain(path, upscaler, limits)
    parts = choose_excerpts(facts, seconds, pace)
    wanted: list[Part | None] = [*parts] or [None]
    runs = [_enlarge(path, out_suffix, upscaler, part, options) for part in wanted]
    covered = sum(run.report.duration for run in runs)
    work = _predict_seconds(runs, frames)
    factor = complexity(packet_sizes(path, limits), parts) if parts else 1.0
    packets = [packet for run in runs for packet in (settled(run.packets) if parts else run.packets)]
    bytes_ = predict_bytes(packets, frames, plan.segment, factor)
    other = sum(run.other for run in runs) * max(1.0, (facts.duration or covered) / covered)
    return Estimate(
        seconds=round(work + opening, 3),
        bytes=round(bytes_ + other),
        gain=None if network is None or bicubic is None else round(network - bicubic, 4),
        network=network,
        bicubic=bicubic,
        frames=frames,
        fps=round(frames / work, 3),
        excerpts=tuple(parts) or ((0.0, round(covered, 3)),),
        spent=round(time.perf_counter() - begin, 3),
        engine=upscaler.name,
    )


@dataclass
class _Run:
    """A run over an excerpt: `pace` in seconds a frame between its first and last batch, `fixed` all other seconds."""

    report: VideoReport
    frames: int
    pace: float | None
    fixed: float
    spent: float
    packets: list[tuple[bool, int]]
    other: int


def _enlarge(path: Path, suffix: str, upscaler: Upscaler, part: Part | None, options: dict[str, Any]) -> _Run:
    from .upscale import upscale_video

    marks: list[tuple[float, int]] = []

    def tell(progress: Progress) -> None:
        marks.append((time.perf_counter(), progress.frames))

    cut: dict[str, Any] = {} if part is None else {"start": part[0], "duration": part[1]}
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="espcn-estimate-") as folder:
        out = Path(folder) / f"excerpt{suffix}"
        report = upscale_video(path, out, upscaler=upscaler, on_progress=tell, **cut, **options)
        end = time.perf_counter()
        packets, other = result_sizes(out)
    (first, done), (last, all_) = marks[0], marks[-1]
    pace = (last - first) / (all_ - done) if all_ > done else None
    fixed = max(0.0, end - begin - (pace or 0.0) * report.frames)
    return _Run(report, report.frames, pace, fixed, end - begin, packets, other)


def _predict_seconds(runs: list[_Run], frames: int) -> float:
    """The whole's frames at the excerpts' pace, and once what the first took besides: opening, joining, verifying."""
    paces = [(run.pace, run.frames) for run in runs if run.pace is not None]
    if not paces or frames <= sum(run.frames for run in runs):
        return sum(run.spent for run in runs) * frames / sum(run.frames for run in runs)
    pace = sum(pace * count for pace, count in paces) / sum(count for _, count in paces)
    return pace * frames + runs[0].fixed


def _measure_gain(path: Path, upscaler: Upscaler, limits: Limits | None) -> tuple[float | None, float | None, float]:
    """Mean PSNR of network and bicubic on sampled frames, and seconds that the network takes for a whole frame."""
    found: list[tuple[float, float]] = []
    pace = 0.0
    for luma in sample_luma(path, SAMPLES, limits=limits):
        if not pace:
            upscaler.upscale(luma.plane[None], white=luma.white)  # the first call compiles for this size
            begin = time.perf_counter()
            upscaler.upscale(luma.plane[None], white=luma.white)
            pace = time.perf_counter() - begin
        try:
            found.append(gain_of(luma, upscaler))
        except InputError:
            return None, None, pace
    if not found:
        return None, None, pace
    network, bicubic = (float(np.mean([min(pair[index], EQUAL) for pair in found])) for index in (0, 1))
    return network, bicubic, pace


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
