"""The papers' protocol: luma planes of a benchmark's pictures, PSNR and SSIM without the border.

Luma is MATLAB's `rgb2ycbcr` Y, not rounded for the low resolution; results are clamped and rounded to 8-bit codes; a
border as wide as the scale is left out.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from espcn_demo.degrade import Plane, shrink, to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr, ssim, studio_luma
from train.methods import Method


@dataclass(frozen=True)
class Score:
    """Means over a benchmark's pictures: PSNR in dB, SSIM."""

    psnr: float
    ssim: float


@dataclass(frozen=True)
class Sample:
    """One picture: high (S*H, S*W) and low (H, W) luma in [0, 1]."""

    name: str
    high: Plane
    low: Plane


def benchmarks(folder: Path) -> list[Path]:
    """Benchmark folders, which hold HR and LRx2, under `folder` or `folder` itself."""
    candidates = [folder, *sorted(folder.iterdir())] if folder.is_dir() else []
    found = [path for path in candidates if (path / "HR").is_dir() and (path / "LRx2").is_dir()]
    if not found:
        raise InputError(f"{folder} holds no benchmark: a benchmark has the folders HR and LRx2.")
    return found


def luma_of(path: Path) -> Plane:
    """Studio-range luma of a picture file, (H, W) in [0, 1]."""
    try:
        with Image.open(path) as image:
            return studio_luma(np.asarray(image.convert("RGB")))
    except OSError as error:
        raise InputError(f"{path} cannot be read as a picture: {error}.") from error


def samples(folder: Path, scale: int = 2) -> Iterator[Sample]:
    """The pictures of a benchmark for 2x or 4x; high resolution cropped for 4x lies in HRx4."""
    for low in sorted((folder / f"LRx{scale}").glob("*.png")):
        cropped = folder / f"HRx{scale}" / low.name
        high = luma_of(cropped if cropped.exists() else folder / "HR" / low.name)
        yield Sample(low.stem, high, luma_of(low))


def decimated(folder: Path) -> Iterator[Sample]:
    """The pictures of a benchmark with low resolution made by blurring and decimating, in 8-bit codes."""
    for sample in samples(folder):
        low = to_codes(shrink(sample.high, 2, "decimate")) / np.float32(255)
        yield Sample(sample.name, sample.high, np.asarray(low, np.float32))


def jpeg(folder: Path, quality: int) -> Iterator[Sample]:
    """The pictures of a benchmark with the low resolution saved as a JPEG of `quality`."""
    for path in sorted((folder / "LRx2").glob("*.png")):
        buffer = io.BytesIO()
        with Image.open(path) as image:
            image.convert("RGB").save(buffer, "JPEG", quality=quality)
        low = studio_luma(np.asarray(Image.open(buffer).convert("RGB")))
        yield Sample(path.stem, luma_of(folder / "HR" / path.name), low)


def measure(pictures: Iterator[Sample] | list[Sample], methods: dict[str, Method], scale: int = 2) -> dict[str, Score]:
    """The scores of each method over the pictures."""
    scores: dict[str, list[tuple[float, float]]] = {name: [] for name in methods}
    for sample in pictures:
        for name, method in methods.items():
            scores[name].append(compare(sample.high, method(sample.low), scale))
    return {name: Score(*(float(v) for v in np.mean(values, axis=0))) for name, values in scores.items()}


def compare(high: Plane, result: Plane, scale: int = 2) -> tuple[float, float]:
    """PSNR in dB and SSIM of a result, rounded to codes, against unrounded luma."""
    codes = to_codes(result) / np.float32(255)
    return psnr(high, codes, border=scale), ssim(high, codes, border=scale)
