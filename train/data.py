"""Training material: folders of pictures become pairs of luma planes, high and low resolution.

Planes are kept as uint16 (0 to 65535 for luma in [0, 1]): half the memory of float32 and finer than 8 bits.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_demo.degrade import shrink
from espcn_demo.errors import InputError
from espcn_demo.metrics import studio_luma

log = logging.getLogger(__name__)

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}
WHITE = 65535
Codes = NDArray[np.uint16]


@dataclass(frozen=True)
class Pair:
    """One picture's luma: `high` (2H, 2W) and `low` (H, W), uint16."""

    high: Codes
    low: Codes


def list_pictures(folders: Sequence[Path]) -> list[Path]:
    """Every picture under `folders`, sorted; an unreadable or empty folder is an InputError."""
    found: list[Path] = []
    for folder in folders:
        if not folder.is_dir():
            raise InputError(f"{folder} is not a readable folder: give --data a folder of pictures.")
        found += sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES)
    if not found:
        raise InputError(f"no pictures in {', '.join(map(str, folders))}: give --data a folder that has some.")
    return found


def load_pair(path: Path, degradation: str = "bicubic") -> Pair:
    """Read one picture and make its low resolution; colour is shrunk as 8-bit RGB, as the benchmarks are."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    width, height = rgb.width // 2 * 2, rgb.height // 2 * 2
    rgb = rgb.crop((0, 0, width, height))
    high = studio_luma(np.asarray(rgb))
    if degradation == "bicubic":
        low = studio_luma(np.asarray(rgb.resize((width // 2, height // 2), Image.Resampling.BICUBIC)))
    else:
        low = shrink(high, 2, degradation)
    return Pair(_codes(high), _codes(low))


def load_pairs(paths: Sequence[Path], degradation: str = "bicubic", *, smallest: int = 48) -> list[Pair]:
    """All usable pictures as pairs; corrupt ones and those under `smallest` low-resolution pixels are named and skipped."""
    pairs, skipped = [], 0
    for path in paths:
        try:
            pair = load_pair(path, degradation)
        except (OSError, SyntaxError, ValueError) as error:
            log.warning("skipped %s: %s", path, error)
            skipped += 1
            continue
        if min(pair.low.shape) < smallest:
            log.warning("skipped %s: smaller than a patch of %d low-resolution pixels", path, smallest)
            skipped += 1
            continue
        pairs.append(pair)
    if skipped:
        log.warning("%d of %d pictures skipped", skipped, len(paths))
    if not pairs:
        raise InputError("none of the pictures can be used: they are damaged or smaller than a patch.")
    return pairs


class PatchSampler:
    """Random patches with flips and transposes; batch `step` depends on the seed and the step alone."""

    def __init__(self, pairs: Sequence[Pair], *, batch: int, patch: int, seed: int) -> None:
        self.pairs, self.batch, self.patch, self.seed = pairs, batch, patch, seed
        areas = np.array([pair.low.size for pair in pairs], np.float64)
        # By the square root of the area: a large picture counts more, but not so much that it drowns the small ones.
        self.weights = np.cumsum(np.sqrt(areas)) / np.sqrt(areas).sum()

    def __call__(self, step: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Batch `step`: low (N, 1, P, P) and high (N, 1, 2P, 2P), float32 in [0, 1]."""
        rng = np.random.default_rng((self.seed, step))
        size = self.patch
        low = np.empty((self.batch, 1, size, size), np.float32)
        high = np.empty((self.batch, 1, 2 * size, 2 * size), np.float32)
        for n in range(self.batch):
            pair = self.pairs[int(np.searchsorted(self.weights, rng.random()))]
            y = int(rng.integers(pair.low.shape[0] - size + 1))
            x = int(rng.integers(pair.low.shape[1] - size + 1))
            small = pair.low[y : y + size, x : x + size]
            large = pair.high[2 * y : 2 * (y + size), 2 * x : 2 * (x + size)]
            symmetry = int(rng.integers(8))
            low[n, 0], high[n, 0] = _turn(small, symmetry), _turn(large, symmetry)
        low /= WHITE
        high /= WHITE
        return low, high


def fingerprint(paths: Sequence[Path]) -> str:
    """SHA-256 over the names and sizes of the data files, in order."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path.name}\0{path.stat().st_size}\n".encode())
    return digest.hexdigest()


def _turn(plane: Codes, symmetry: int) -> Codes:
    if symmetry & 1:
        plane = plane[:, ::-1]
    if symmetry & 2:
        plane = plane[::-1]
    return plane.T if symmetry & 4 else plane


def _codes(plane: NDArray[np.float32]) -> Codes:
    return np.rint(np.clip(plane, 0, 1) * WHITE).astype(np.uint16)
