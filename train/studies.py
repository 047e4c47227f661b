"""The original project's experiments, one function each: what was compared, and the scores for each seed."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from PIL import Image

from espcn_demo.degrade import METHODS, to_codes
from train.benchmark import samples
from train.colour import COLOURS, colour_scores, planes_of
from train.data import Pair, as_plane, load_pair
from train.methods import chain, interpolation, neural
from train.srcnn import SRCNN
from train.trials import OtherActivation, ShuffledApart
from train.workbench import BASE, SEEDS, Row, Workbench, bicubic_pair, damaged, score, score_method, score_samples


@dataclass(frozen=True)
class Study:
    """A finished experiment: a row for each variant; values are in `unit`, or as the columns say."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[Row]
    unit: str = "PSNR, dB"


def activations(bench: Workbench) -> Study:
    """ReLU against tanh between the convolutions."""
    tanh = [bench.fit(bench.pairs, seed, network=lambda: OtherActivation(torch.tanh)) for seed in SEEDS]
    rows = [Row(n, {"Set5": _set5(bench, nets)}) for n, nets in (("ReLU", bench.baseline), ("tanh", tanh))]
    return Study("activations", "ReLU against tanh", ("Set5",), rows)


def colours(bench: Workbench) -> Study:
    """Luma of YUV, luma of YCbCr, or each of red, green and blue by itself."""
    pictures = sorted((bench.benchmark / "Set5" / "HR").glob("*.png"))
    rows = []
    for name in COLOURS:
        pairs = [Pair(high, low) for path in bench.paths for high, low in planes_of(path, name)]
        scores = [colour_scores(neural(bench.fit(pairs, seed)), name, pictures) for seed in SEEDS]
        columns = ("luma PSNR, dB", "RGB PSNR, dB", "colour error, CIEDE2000")
        rows.append(Row(name, {c: [s[n] for s in scores] for n, c in enumerate(columns)}))
    return Study("colours", "What is enlarged by the network, on Set5 in colour", columns, rows, unit="")


def batch_sizes(bench: Workbench) -> Study:
    """Batch sizes with the same number of patches seen."""
    rows = []
    for batch in (2, 8, 32):
        steps = max(1, bench.steps * BASE.batch // batch)
        nets = [bench.fit(bench.pairs, seed, recipe=replace(BASE, batch=batch), steps=steps) for seed in SEEDS]
        rows.append(Row(f"batch {batch}, {steps} steps", {"Set5": _set5(bench, nets)}))
    return Study("batches", "Batch sizes, the same number of patches", ("Set5",), rows)


def footage(bench: Workbench) -> Study:
    """Training on wallpapers against training on one clip, on familiar and on unfamiliar material."""
    wallpapers = bench.folder("photos", "art")
    tests = {
        "other wallpapers": [load_pair(path) for path in wallpapers[1::40]],
        "later in the clip": bench.clip("bbb-1280", range(90, 126, 12)),
        "another clip": bench.clip("flower", range(0, 90, 30)),
    }
    trained = {
        "wallpapers": [load_pair(path) for path in wallpapers[::40] + wallpapers[2::8]],
        "one clip (bbb)": bench.clip("bbb-1280", range(0, 72, 3)),
    }
    rows = []
    for name, pairs in trained.items():
        nets = [bench.fit(pairs, seed) for seed in SEEDS]
        scores = {test: [score(net, held) for net in nets] for test, held in tests.items()}
        rows.append(Row(name, scores | {"Set5": _set5(bench, nets)}))
    scores = {test: [score_method(interpolation("bicubic"), held)] for test, held in tests.items()}
    rows.append(Row("bicubic", scores | {"Set5": [score_samples(interpolation("bicubic"), bench.set5)]}))
    return Study("footage", "Trained on wallpapers and on video", (*tests, "Set5"), rows)


def fourfold(bench: Workbench) -> Study:
    """4x: interpolation, the same network twice, and a second pass trained on what the first one gives."""
    pictures = list(samples(bench.benchmark / "Set5", 4))
    rows = [
        Row(name, {"Set5 4x": [score_samples(interpolation(name, 4), pictures, 4)]}) for name in ("bilinear", "bicubic")
    ]
    twice, trained = [], []
    for seed, first in zip(SEEDS, bench.baseline, strict=True):
        method = neural(first)
        pairs = [_chain_pair(pair, method) for pair in bench.pairs if min(pair.low.shape) >= 2 * BASE.patch]
        second = bench.fit(pairs, seed, recipe=replace(BASE, l1_until=0.0))
        twice.append(score_samples(chain(method, method), pictures, 4))
        trained.append(score_samples(chain(method, neural(second)), pictures, 4))
    rows += [
        Row("the network twice", {"Set5 4x": twice}),
        Row("then a trained second pass", {"Set5 4x": trained}),
    ]
    return Study("fourfold", "Two passes of 2x", ("Set5 4x",), rows)


def srcnn(bench: Workbench) -> Study:
    """SRCNN on bicubic-enlarged input against this network: quality after equal steps, time for a frame."""
    clip = bench.clip("flower", range(0, 90, 30))
    frame = np.random.default_rng(0).random((336, 448), np.float32)
    rows = []
    nets = {"ESPCN": bench.baseline, "SRCNN 9-1-5": [bench.fit(bench.pairs, seed, network=SRCNN) for seed in SEEDS]}
    for name, trained in nets.items():
        method = neural(trained[0])
        method(frame)
        times = []
        for _ in SEEDS:
            start = time.perf_counter()
            method(frame)
            times.append(1000 * (time.perf_counter() - start))
        scores = {"Set5": _set5(bench, trained), "clip (flower)": [score(net, clip) for net in trained]}
        rows.append(Row(name, scores | {"ms a 448x336 frame": times}))
    return Study(
        "srcnn", "SRCNN and ESPCN", ("Set5", "clip (flower)", "ms a 448x336 frame"), rows, unit="PSNR, dB / ms"
    )


def degradations(bench: Workbench) -> Study:
    """Networks trained on each degradation, on each degradation."""
    columns = ("bicubic", "decimate", "h264", "jpeg")
    tests = {how: damaged(bench.set5, how) for how in columns}
    trained = {
        "bicubic": bench.baseline,
        "decimate": [bench.fit(bench.decimated, seed) for seed in SEEDS],
        "compressed": [bench.fit(bench.encoded, seed) for seed in SEEDS],
    }
    rows = [
        Row(f"trained on {name}", {h: [score_samples(neural(n), t) for n in nets] for h, t in tests.items()})
        for name, nets in trained.items()
    ]
    for name in ("bilinear", "bicubic"):
        rows.append(
            Row(f"{name} interpolation", {h: [score_samples(interpolation(name), t)] for h, t in tests.items()})
        )
    return Study("degradations", "Each degradation's network on each degradation, Set5", columns, rows)


def shuffling(bench: Workbench) -> Study:
    """Inputs and targets shuffled together, or independently as in the original's code."""
    apart = [bench.fit(bench.pairs, seed, wrap=ShuffledApart) for seed in SEEDS]
    rows = [Row(n, {"Set5": _set5(bench, v)}) for n, v in (("together", bench.baseline), ("independently", apart))]
    rows += [Row(name, {"Set5": [score_samples(interpolation(name), bench.set5)]}) for name in METHODS]
    return Study("shuffling", "Shuffling of inputs and targets", ("Set5",), rows)


STUDIES: dict[str, Callable[[Workbench], Study]] = {
    one.__name__: one
    for one in (activations, colours, batch_sizes, footage, fourfold, srcnn, degradations, shuffling)
}  # fmt: skip


def _set5(bench: Workbench, networks: Sequence[torch.nn.Module]) -> list[float]:
    return [score_samples(neural(network), bench.set5) for network in networks]


def _chain_pair(pair: Pair, first: Callable[[np.ndarray], np.ndarray]) -> Pair:
    """The pair of the second pass: the low resolution is halved once more and enlarged by the first pass."""
    high = np.asarray(to_codes(as_plane(pair.high, pair.white)), np.uint8)
    high = high[: high.shape[0] // 4 * 4, : high.shape[1] // 4 * 4]
    quarter = Image.fromarray(as_plane(high)).resize((high.shape[1] // 4, high.shape[0] // 4), Image.Resampling.BICUBIC)
    low = bicubic_pair(high).low
    low[:] = to_codes(first(as_plane(to_codes(np.asarray(quarter)))))
    return Pair(high, low)
