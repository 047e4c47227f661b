"""What the experiments share: pairs of several kinds, short training runs, scores with their spread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from espcn_demo.degrade import shrink, to_codes
from espcn_demo.metrics import psnr
from espcn_demo.model import ESPCN
from train.benchmark import Sample, samples
from train.clips import read_luma
from train.codecs import Codes8, jpeg_round_trip
from train.compressed import compress
from train.data import Pair, as_plane, load_pair
from train.material import encoded_units, split
from train.methods import Method, neural
from train.pool import Batches, Loaded
from train.trainer import Recipe, train

SEEDS = (0, 1, 2)
BASE = Recipe(batch=8, patch=32, precision="bf16")


@dataclass(frozen=True)
class Row:
    """One variant: its scores for each seed, by column."""

    name: str
    scores: dict[str, list[float]]

    def cells(self, columns: Sequence[str]) -> list[str]:
        """Mean and standard deviation over the seeds."""
        return [self.name, *(_spread(self.scores[column]) for column in columns)]


class Workbench:
    """Data for the experiments, loaded when first used."""

    def __init__(self, data: Path, benchmark: Path, clips: Path, *, steps: int, pictures: int) -> None:
        self.data, self.benchmark, self.clips, self.steps, self.pictures = data, benchmark, clips, steps, pictures

    @cached_property
    def paths(self) -> list[Path]:
        """An even selection of the training pictures."""
        every = split([self.data])[0]
        return every[:: max(1, len(every) // self.pictures)]

    @cached_property
    def pairs(self) -> list[Pair]:
        """Studio luma, bicubic."""
        return [load_pair(path) for path in self.paths]

    @cached_property
    def decimated(self) -> list[Pair]:
        """Studio luma, blurred and decimated."""
        return [load_pair(path, "decimate") for path in self.paths]

    @cached_property
    def encoded(self) -> list[Pair]:
        """Filmed and really encoded."""
        units, _ = encoded_units(self.paths, variants=1, crf=(18, 28), cache=None)
        return [pair for unit in units for pair in unit.load(0)]

    @cached_property
    def set5(self) -> list[Sample]:
        """The benchmark's pictures."""
        return list(samples(self.benchmark / "Set5"))

    def clip(self, name: str, frames: range) -> list[Pair]:
        """Frames of the clip whose name starts with `name`, with low resolution by bicubic."""
        path = next(iter(sorted(self.clips.glob(f"{name}*"))))
        planes = read_luma(path, frames.stop)
        return [bicubic_pair(planes[n]) for n in frames if n < len(planes)]

    def folder(self, *names: str) -> list[Path]:
        """Pictures of some of the data's folders."""
        return [path for path in split([self.data])[0] if path.parent.name in names]

    def fit(
        self, pairs: Sequence[Pair], seed: int, *, recipe: Recipe = BASE, steps: int | None = None,
        network: Callable[[], nn.Module] = ESPCN, wrap: Callable[[Batches], Batches] = lambda batches: batches,
    ) -> nn.Module:  # fmt: skip
        """A network trained from `seed` for this bench's number of steps."""
        torch.manual_seed(seed)
        batches: Batches = Loaded(pairs, batch=recipe.batch, patch=recipe.patch, seed=seed)
        return train(recipe, wrap(batches), steps=steps or self.steps, network=network())

    @cached_property
    def baseline(self) -> list[nn.Module]:
        """The plain network on bicubic pairs, one for each seed."""
        return [self.fit(self.pairs, seed) for seed in SEEDS]


def bicubic_pair(high: Codes8) -> Pair:
    """A luma frame and its half by bicubic, 8-bit codes."""
    return Pair(high, np.asarray(to_codes(shrink(as_plane(high))), np.uint8))


def score(network: nn.Module, pairs: Sequence[Pair]) -> float:
    """Mean PSNR in dB over pairs."""
    return score_method(neural(network), pairs)


def score_method(method: Method, pairs: Sequence[Pair]) -> float:
    """Mean PSNR in dB of a method over pairs, 8-bit codes, without a two-pixel border."""
    values = []
    for pair in pairs:
        result = to_codes(method(as_plane(pair.low, pair.white)))
        values.append(psnr(to_codes(as_plane(pair.high, pair.white)), result, peak=255, border=2))
    return float(np.mean(values))


def score_samples(method: Method, pictures: Sequence[Sample], border: int = 2) -> float:
    """Mean PSNR in dB over benchmark pictures."""
    return float(np.mean([psnr(s.high, as_plane(to_codes(method(s.low))), border=border) for s in pictures]))


def damaged(pictures: Sequence[Sample], how: str) -> list[Sample]:
    """Benchmark pictures with their low resolution made in another way: decimate, h264 or jpeg."""
    from train.compressed import Encoding

    made = []
    for sample in pictures:
        low: Any = sample.low
        if how == "decimate":
            low = as_plane(to_codes(shrink(sample.high, 2, "decimate")))
        elif how == "h264":
            even = np.asarray(to_codes(low), np.uint8)
            even = np.pad(even, ((0, even.shape[0] % 2), (0, even.shape[1] % 2)), mode="edge")
            low = as_plane(compress([even], Encoding("libx264", 23))[0])[: low.shape[0], : low.shape[1]]
        elif how == "jpeg":
            low = as_plane(jpeg_round_trip(np.asarray(to_codes(low), np.uint8), 75))
        made.append(Sample(sample.name, sample.high, low))
    return made


def _spread(values: Sequence[float]) -> str:
    return f"{np.mean(values):.2f} ± {np.std(values):.2f}"
