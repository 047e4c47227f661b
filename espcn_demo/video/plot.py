"""Curves of a measurement over time, as a PNG; needs matplotlib, which only this uses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError

if TYPE_CHECKING:
    from .measure import VideoMeasurement


def check_plotting() -> None:
    """Raise InputError when matplotlib is missing, before any work is done."""
    from importlib.util import find_spec

    if find_spec("matplotlib") is None:
        raise InputError("a plot needs matplotlib: pip install matplotlib, or leave the plot out.")


def plot_measurement(found: VideoMeasurement, path: Path) -> None:
    """PSNR, SSIM and, when measured, VMAF of each frame against time in seconds, one under the other."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    curves = [("PSNR, dB", [one.psnr for one in found.per_frame]), ("SSIM", [one.ssim for one in found.per_frame])]
    if found.vmaf is not None:
        curves.append(("VMAF", [one.vmaf or 0.0 for one in found.per_frame]))
    times = [one.time for one in found.per_frame]
    figure = Figure(figsize=(9, 2.4 * len(curves)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(curves), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, values) in zip(axes, curves, strict=True):
        axis.plot(times, values, linewidth=1.2, marker="." if len(times) < 40 else None)
        axis.set_ylabel(name)
        axis.grid(alpha=0.3)
    axes[0].set_title(f"{Path(found.result).name} against {Path(found.reference).name}")
    axes[-1].set_xlabel("seconds")
    figure.savefig(path, format="png", dpi=120)
