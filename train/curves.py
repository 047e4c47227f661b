"""Curves of a run: TensorBoard events and a PNG, PSNR and loss by epoch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

log = logging.getLogger(__name__)

Record = dict[str, float]  # step, epoch, loss, psnr


def write_curves(history: Sequence[Record], folder: Path) -> None:
    """Write `curves.png` and TensorBoard events into `folder`; says which library is missing when one is."""
    if not history:
        return
    folder.mkdir(parents=True, exist_ok=True)
    _events(history, folder)
    _picture(history, folder / "curves.png")


def _events(history: Sequence[Record], folder: Path) -> None:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        log.warning("no TensorBoard events: pip install tensorboard")
        return
    for old in folder.glob("events.*"):
        old.unlink()  # a resumed run writes its whole history again
    with SummaryWriter(str(folder)) as writer:
        for record in history:
            for name in ("loss", "psnr"):
                writer.add_scalar(f"{name}/epoch", record[name], round(record["epoch"]))
                writer.add_scalar(f"{name}/step", record[name], round(record["step"]))


def _picture(history: Sequence[Record], path: Path) -> None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("no picture of the curves: pip install matplotlib")
        return
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [record["epoch"] for record in history]
    for axes, name, unit in zip(figure.subplots(1, 2), ("loss", "psnr"), ("loss", "PSNR, dB"), strict=True):
        axes.plot(epochs, [record[name] for record in history])
        axes.set(xlabel="epoch", ylabel=unit, yscale="log" if name == "loss" else "linear")
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=80)
