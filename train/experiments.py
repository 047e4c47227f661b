r"""Redo the original project's experiments, small, each with three seeds.

    python -m train experiments --data ../shared/data/train --benchmark ../shared/data/benchmark \
        --clips ../shared/data/video [--only activations shuffling] [--steps 1000]

Tables go to train/RESULTS.md, plots to train/plots.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch

from espcn_demo.errors import InputError
from train import results
from train.levers import levers
from train.studies import STUDIES, Study
from train.workbench import SEEDS, Workbench

log = logging.getLogger("train.experiments")

PLOTS = Path(__file__).parent / "plots"
ALL = STUDIES | {"levers": levers}


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m train experiments", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="training pictures, with the folders photos and art")
    parser.add_argument("--benchmark", type=Path, required=True, help="folder with the benchmark Set5")
    parser.add_argument("--clips", type=Path, required=True, help="folder with the clips bbb-1280* and flower*")
    parser.add_argument("--only", nargs="+", choices=tuple(ALL), help="some of the experiments")
    parser.add_argument("--steps", type=int, default=400, help="training steps of each network")
    parser.add_argument("--pictures", type=int, default=100, help="training pictures of each network")
    parser.add_argument("--threads", type=int, help="CPU threads for the arithmetic")
    parser.add_argument("--results", type=Path, default=results.RESULTS, help="the file the tables go into")
    args = parser.parse_args(argv)
    for folder in (args.data, args.benchmark / "Set5", args.clips):
        if not folder.is_dir():
            raise InputError(f"{folder} is not a folder: the experiments need it.")
    if args.threads:
        torch.set_num_threads(args.threads)
    bench = Workbench(args.data, args.benchmark, args.clips, steps=args.steps, pictures=args.pictures)
    for name in args.only or ALL:
        started = time.monotonic()
        study = ALL[name](bench)
        text = _text(study, bench, time.monotonic() - started)
        plot = _plot(study, args.results.parent / PLOTS.name)
        results.put(name, text + (f"\n![{study.title}]({PLOTS.name}/{plot.name})\n" if plot else ""), args.results)
        print(text, flush=True)
    return 0


def _text(study: Study, bench: Workbench, seconds: float) -> str:
    about = f"`python -m train experiments --only {study.name} --steps {bench.steps} --pictures {bench.pictures}`"
    head = f"## {study.title}\n\n{about}: mean ± deviation over {len(SEEDS)} seeds, in {seconds:.0f} s.\n\n"
    return head + results.table([study.unit, *study.columns], [row.cells(study.columns) for row in study.rows])


def _plot(study: Study, folder: Path) -> Path | None:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        log.warning("no plots: pip install matplotlib")
        return None
    figure = Figure(figsize=(4.2 * len(study.columns), 0.5 + 0.35 * len(study.rows)), layout="constrained")
    FigureCanvasAgg(figure)
    names = [row.name for row in study.rows][::-1]
    every = figure.subplots(1, len(study.columns), squeeze=False)[0]
    for number, (axes, column) in enumerate(zip(every, study.columns, strict=True)):
        values = [row.scores[column] for row in study.rows][::-1]
        means, spreads = [float(np.mean(v)) for v in values], [float(np.std(v)) for v in values]
        axes.errorbar(means, range(len(names)), xerr=spreads, fmt="o", capsize=3)
        axes.set_yticks(range(len(names)), names if number == 0 else [""] * len(names))
        axes.set(xlabel=column, ylim=(-0.6, len(names) - 0.4))
        axes.grid(alpha=0.3)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{study.name}.png"
    figure.savefig(path, dpi=70)
    return path
