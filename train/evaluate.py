"""Score weights files beside interpolation and SRCNN.

python -m train evaluate --benchmark ../shared/data/benchmark
python -m train evaluate --benchmark ../shared/data/benchmark --weights mine.safetensors --json
python -m train evaluate --compressed a.mp4 b.mp4 --jpeg ../shared/data/benchmark/Set14
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import nn

from espcn_demo import weights as bundle
from espcn_demo.errors import InputError
from espcn_demo.model import ESPCN
from train import results
from train.benchmark import Score, benchmarks, decimated, jpeg, measure, samples
from train.methods import Method, chain, interpolations, load_methods, neural

log = logging.getLogger("train.evaluate")

Table = dict[str, dict[str, Score]]  # benchmark -> method -> score
QUALITIES = (50, 75, 90)
SRCNN_FILE = Path(__file__).parent / "srcnn_x2.safetensors"


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m train evaluate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument(
        "--benchmark", "--data", type=Path, help="a folder with HR and LRx2, or a folder of such folders"
    )
    parser.add_argument("--weights", nargs="+", type=Path, help="weights or checkpoints (default: all bundled ones)")
    parser.add_argument("--compressed", nargs="+", type=Path, metavar="CLIP", help="score on clips, really encoded")
    parser.add_argument("--jpeg", type=Path, help="benchmark whose low resolution is saved as JPEG")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="one JSON object on stdout")
    form.add_argument("--markdown", action="store_true", help="Markdown tables on stdout, the default")
    parser.add_argument("--results", action="store_true", help="also put the tables into train/RESULTS.md")
    args = parser.parse_args(argv)
    if not (args.benchmark or args.compressed or args.jpeg):
        raise InputError("give --benchmark, --compressed or --jpeg: what to score on.")
    files = args.weights or [bundle.folder() / f"{name}.safetensors" for name in bundle.bundled()]
    if not args.weights and SRCNN_FILE.exists():
        files = [*files, SRCNN_FILE]
    methods = load_methods(files)
    report: dict[str, Any] = {}
    texts: dict[str, str] = {}
    if args.benchmark:
        _benchmarks(benchmarks(args.benchmark), methods, report, texts)
    if args.compressed:
        from train.clips import clip_report

        report["clips"], texts["clips"] = clip_report(args.compressed, methods)
    if args.jpeg:
        all_methods = {**interpolations(), **methods}
        scores = {f"quality {q}": measure(jpeg(args.jpeg, q), all_methods) for q in QUALITIES}
        report["jpeg"] = scores
        texts["jpeg"] = f"## {args.jpeg.name}, low resolution saved as JPEG, 2x\n\n" + markdown(scores)
    print(json.dumps(report, indent=1, default=asdict) if args.json else "\n".join(texts.values()))
    for section, text in texts.items() if args.results else ():
        results.put(section, text)
    return 0


def _benchmarks(folders: list[Path], methods: dict[str, Method], report: dict[str, Any], texts: dict[str, str]) -> None:
    scores = {folder.name: measure(samples(folder), {**interpolations(), **methods}) for folder in folders}
    report["2x"], texts["scores"] = scores, "## 2x, bicubic low resolution\n\n" + markdown(scores)
    quarters = [folder for folder in folders if any((folder / "LRx4").glob("*.png"))]
    if quarters:
        fourfold = {folder.name: measure(samples(folder, 4), fourfold_methods(methods), 4) for folder in quarters}
        report["4x"], texts["fourfold"] = fourfold, "## 4x\n\n" + markdown(fourfold)
    scores = {folder.name: measure(decimated(folder), {**interpolations(), **methods}) for folder in folders}
    report["decimate"], texts["decimate"] = scores, "## 2x, blurred and decimated low resolution\n\n" + markdown(scores)


def fourfold_methods(methods: dict[str, Method]) -> dict[str, Method]:
    """Interpolation by four, each network twice, and the default network followed by the second-pass one."""
    made = interpolations(4)
    first, second = methods.get("espcn_x2"), methods.get("espcn_x2_second")
    for name, method in methods.items():
        if not name.endswith(("_second", "_compressed", "_decimate", "_strong", "_light", "srcnn_x2")):
            made[f"{name}, twice"] = chain(method, method)
    if first and second:
        made["espcn_x2, then espcn_x2_second"] = chain(first, second)
    return made


def markdown(scores: Table) -> str:
    """PSNR in dB and SSIM, a row for each method."""
    names = list(next(iter(scores.values())))
    rows = [[name, *(f"{s[name].psnr:.2f} / {s[name].ssim:.4f}" for s in scores.values())] for name in names]
    return results.table(["PSNR, dB / SSIM", *scores], rows)


def card_scores(
    network: ESPCN | nn.Module, folder: Path, *, first: Path | None = None, degradation: str = "bicubic"
) -> dict[str, Any]:
    """Scores for a weights card: 2x, or 4x after the first pass `first`, beside bicubic.

    Low resolution is the benchmark's own, or decimated when that is what the network is for.
    """
    scale = 4 if first else 2
    method = neural(network)
    if first:
        method = chain(next(iter(load_methods([first]).values())), method)
    found: dict[str, Any] = {}
    for benchmark in benchmarks(folder):
        names = {"bicubic": interpolations(scale)["bicubic"], "network": method}
        decimate = degradation == "decimate"
        scored = measure(decimated(benchmark) if decimate else samples(benchmark, scale), names, scale)
        found[f"{benchmark.name} {scale}x{' decimated' if decimate else ''}"] = {
            "psnr": round(scored["network"].psnr, 3), "ssim": round(scored["network"].ssim, 4),
            "bicubic_psnr": round(scored["bicubic"].psnr, 3), "bicubic_ssim": round(scored["bicubic"].ssim, 4),
        }  # fmt: skip
    return found
