"""How close a clip is to a reference: PSNR, SSIM and VMAF of every frame, as numbers, CSV and curves."""

from __future__ import annotations

import csv as tables
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError, InputError
from ..limits import Limits
from .luma import read_luma
from .matching import Matching
from .quality import frame_psnr, frame_ssim
from .vmaf import Vmaf

AHEAD = 4  # frame pairs whose SSIM is computed at the same time
Plane = NDArray[np.float32]


@dataclass(frozen=True)
class FrameScore:
    """One pair: `time` in seconds from the first frame, PSNR in dB (100 when equal), SSIM, VMAF or None."""

    frame: int
    time: float
    psnr: float
    ssim: float
    vmaf: float | None = None


@dataclass(frozen=True)
class VideoMeasurement:
    """The scores of luma; means over the frames of both clips, and the worst frame.

    frames    pairs that were compared, matched by presentation time from each clip's first frame
    missing   frames of the reference without a partner in the result; `extra` the other way round
    psnr      mean of the frames' PSNR in dB; `psnr_overall` is that of the mean squared error over all frames
    vmaf      mean VMAF (model vmaf_v0.6.1, 8 bits), None when it could not be measured: see notes
    """

    reference: str
    result: str
    width: int
    height: int
    frames: int
    missing: int
    extra: int
    psnr: float
    psnr_overall: float
    psnr_worst: float
    ssim: float
    ssim_worst: float
    vmaf: float | None
    vmaf_worst: float | None
    notes: tuple[str, ...]
    per_frame: tuple[FrameScore, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, with the scores of each frame."""
        return asdict(self)

    def text(self) -> str:
        """The figures for a person, one a line."""
        lines = [
            f"{Path(self.result).name} against {Path(self.reference).name}: {self.frames} frames of luma, "
            f"{self.width}x{self.height}",
            f"PSNR  {self.psnr:.2f} dB (worst frame {self.psnr_worst:.2f}, over all {self.psnr_overall:.2f})",
            f"SSIM  {self.ssim:.4f} (worst frame {self.ssim_worst:.4f})",
        ]
        if self.vmaf is not None:
            lines.append(f"VMAF  {self.vmaf:.2f} (worst frame {self.vmaf_worst:.2f})")
        return "\n".join([*lines, *self.notes])

    def write_csv(self, path: Path) -> None:
        """One row a frame: frame, time (s), psnr (dB), ssim, vmaf (empty when not measured)."""
        with Path(path).open("w", newline="", encoding="utf-8") as file:
            table = tables.writer(file)
            table.writerow(["frame", "time", "psnr", "ssim", "vmaf"])
            for one in self.per_frame:
                vmaf = "" if one.vmaf is None else f"{one.vmaf:.4f}"
                table.writerow([one.frame, f"{one.time:.6f}", f"{one.psnr:.4f}", f"{one.ssim:.6f}", vmaf])


def measure(
    reference: Path,
    result: Path,
    *,
    csv: Path | None = None,
    plot: Path | None = None,
    vmaf: bool = True,
    limits: Limits | None = None,
) -> VideoMeasurement:
    """Compare two clips of one size frame by frame; `csv` and `plot` (PNG) are written when given.

    Raises:
        InputError: a clip cannot be read, the sizes differ, no frames match, or a plot is asked for without matplotlib.
    """
    from .plot import check_plotting, plot_measurement

    reference, result = Path(reference), Path(result)
    if plot is not None:
        check_plotting()
    for target in (csv, plot):
        if target is not None and not Path(target).parent.is_dir():
            raise InputError(f"the folder of {Path(target).name} does not exist: create it first.")
    found = _compare(reference, result, vmaf=vmaf, limits=limits)
    if csv is not None:
        found.write_csv(csv)
    if plot is not None:
        plot_measurement(found, Path(plot))
    return found


def _compare(reference: Path, result: Path, *, vmaf: bool, limits: Limits | None) -> VideoMeasurement:
    matched = Matching(read_luma(reference, limits=limits), read_luma(result, limits=limits))
    scores: list[FrameScore] = []
    errors: list[float] = []
    notes: list[str] = []
    size = (0, 0)
    waiting: list[tuple[float, Future[tuple[float, float, float]]]] = []
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(AHEAD))
        judge: Vmaf | None = None
        for index, (time, a, b) in enumerate(matched):
            if a.shape != b.shape:
                raise InputError(_sizes_differ(reference, result, a, b))
            if index == 0:
                size = (a.shape[1], a.shape[0])
                judge = _open_vmaf(size, stack, notes) if vmaf else None
            judge = _add(judge, a, b, notes)
            waiting.append((time, pool.submit(_score, a, b)))
            if len(waiting) >= AHEAD:
                _collect(waiting, scores, errors)
        while waiting:
            _collect(waiting, scores, errors)
        if not scores:
            raise InputError(f"{reference.name} and {result.name} have no frames at the same times.")
        if judge is not None:
            scores = _with_vmaf(scores, judge, notes)
    return _summary(reference, result, size, scores, errors, matched, notes)


def _score(a: Plane, b: Plane) -> tuple[float, float, float]:
    difference = a - b
    return frame_psnr(a, b), frame_ssim(a, b), float(np.vdot(difference, difference)) / difference.size


def _collect(
    waiting: list[tuple[float, Future[tuple[float, float, float]]]], scores: list[FrameScore], errors: list[float]
) -> None:
    time, future = waiting.pop(0)
    psnr, ssim, error = future.result()
    scores.append(FrameScore(len(scores), round(time, 6), psnr, ssim))
    errors.append(error)


def _open_vmaf(size: tuple[int, int], stack: ExitStack, notes: list[str]) -> Vmaf | None:
    try:
        return stack.enter_context(Vmaf(*size))
    except EngineError as error:
        notes.append(f"VMAF was not measured: {error}")
        return None


def _add(judge: Vmaf | None, a: Plane, b: Plane, notes: list[str]) -> Vmaf | None:
    if judge is None:
        return None
    try:
        judge.add(*(np.rint(plane.clip(0, 255)).astype(np.uint8) for plane in (a, b)))
    except EngineError as error:
        notes.append(f"VMAF was not measured: {error}")
        return None
    return judge


def _with_vmaf(scores: list[FrameScore], judge: Vmaf, notes: list[str]) -> list[FrameScore]:
    try:
        found = judge.scores()
    except EngineError as error:
        notes.append(f"VMAF was not measured: {error}")
        return scores
    return [replace(score, vmaf=value) for score, value in zip(scores, found, strict=True)]


def _summary(
    reference: Path,
    result: Path,
    size: tuple[int, int],
    scores: list[FrameScore],
    errors: list[float],
    matched: Matching,
    notes: list[str],
) -> VideoMeasurement:
    if matched.missing or matched.extra:
        notes.append(
            f"{matched.missing} frames of the reference have no partner at their time, {matched.extra} of the result."
        )
    psnr, ssim = [one.psnr for one in scores], [one.ssim for one in scores]
    vmaf = [one.vmaf for one in scores if one.vmaf is not None]
    mean_error = float(np.mean(errors))
    return VideoMeasurement(
        reference=str(reference),
        result=str(result),
        width=size[0],
        height=size[1],
        frames=len(scores),
        missing=matched.missing,
        extra=matched.extra,
        psnr=float(np.mean(psnr)),
        psnr_overall=100.0 if mean_error == 0 else min(100.0, 10.0 * float(np.log10(255.0**2 / mean_error))),
        psnr_worst=min(psnr),
        ssim=float(np.mean(ssim)),
        ssim_worst=min(ssim),
        vmaf=float(np.mean(vmaf)) if vmaf else None,
        vmaf_worst=min(vmaf) if vmaf else None,
        notes=tuple(notes),
        per_frame=tuple(scores),
    )


def _sizes_differ(reference: Path, result: Path, a: Plane, b: Plane) -> str:
    return (
        f"{reference.name} shows frames of {a.shape[1]}x{a.shape[0]} pixels and {result.name} of "
        f"{b.shape[1]}x{b.shape[0]}: give two clips of one size."
    )
