"""Training material in memory: pairs of luma planes, high and low resolution, and random patches of them.

Planes of pictures are kept as uint16 (0 to 65535 for luma in [0, 1]): half the memory of float32 and finer than 8 bits.
Planes of video are kept as the 8-bit codes they are.
"""

from __future__ import annotations

import hashlib
import logging
import os
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
VIDEOS = {".mp4", ".m4v", ".mkv", ".mov", ".webm", ".avi", ".ts", ".mpg", ".mpeg", ".ogv", ".ogg", ".flv", ".wmv"}
WHITE = 65535
DAMAGED = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)  # what Pillow raises on damaged pictures
Codes = NDArray[np.uint8] | NDArray[np.uint16]


@dataclass(frozen=True)
class Pair:
    """One picture's luma: `high` (2H, 2W) and `low` (H, W), uint16 or uint8, the largest code value white.

    `centred`: each low pixel lies in the middle of its four high ones. Decimation keeps the first of them instead, and
    a flipped picture would then be shifted.
    """

    high: Codes
    low: Codes
    centred: bool = True

    @property
    def white(self) -> int:
        """The code value of 1.0."""
        return int(np.iinfo(self.low.dtype).max)


def list_files(data: Sequence[Path], suffixes: set[str]) -> list[Path]:
    """Files named in `data` or lying under its folders, sorted within each; an unreadable path is an InputError."""
    found: list[Path] = []
    for path in data:
        try:
            if path.exists() and not os.access(path, os.R_OK):
                raise InputError(f"{path} may not be read: check its permissions.")
            if path.is_dir():
                found += sorted(inner for inner in path.rglob("*") if inner.suffix.lower() in suffixes)
            elif path.is_file():
                found += [path]
            else:
                raise InputError(f"{path} does not exist: give --data a folder of pictures or a video file.")
        except OSError as error:
            raise InputError(f"{path} cannot be read ({error.strerror}): check its permissions.") from error
    if not found:
        raise InputError(f"no pictures or videos in {', '.join(map(str, data))}: give --data a folder that has some.")
    return found


def load_pair(path: Path, degradation: str = "bicubic") -> Pair:
    """Read one picture and make its low resolution; colour is shrunk as 8-bit RGB, as the benchmarks are."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    width, height = rgb.width // 2 * 2, rgb.height // 2 * 2
    if not width or not height:
        raise ValueError("smaller than two pixels")
    rgb = rgb.crop((0, 0, width, height))
    high = studio_luma(np.asarray(rgb))
    if degradation == "bicubic":
        low = studio_luma(np.asarray(rgb.resize((width // 2, height // 2), Image.Resampling.BICUBIC)))
    else:
        low = shrink(high, 2, degradation)
    return Pair(_codes(high), _codes(low), centred=degradation != "decimate")


class PatchSampler:
    """Random patches with flips and transposes; batch `step` depends on the seed and the step alone."""

    def __init__(self, pairs: Sequence[Pair], *, batch: int, patch: int, seed: int) -> None:
        self.pairs, self.batch, self.patch, self.seed = pairs, batch, patch, seed
        areas = np.array([pair.low.size for pair in pairs], np.float64)
        # By the square root of the area: a large picture counts more, but not so much that it drowns the small ones.
        self.weights = np.cumsum(np.sqrt(areas)) / np.sqrt(areas).sum()

    def __call__(self, step: int, *, rank: int = 0, world: int = 1) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Batch `step`: low (N, 1, P, P) and high (N, 1, 2P, 2P), float32 in [0, 1].

        Process `rank` of `world` gets its share, N = batch / world; together the shares are the batch of one process.
        """
        rng = np.random.default_rng((self.seed, step))
        size, share = self.patch, self.batch // world
        low = np.empty((share, 1, size, size), np.float32)
        high = np.empty((share, 1, 2 * size, 2 * size), np.float32)
        white = np.empty((share, 1, 1, 1), np.float32)
        for n in range(self.batch):
            pair = self.pairs[min(int(np.searchsorted(self.weights, rng.random())), len(self.pairs) - 1)]
            y = int(rng.integers(pair.low.shape[0] - size + 1))
            x = int(rng.integers(pair.low.shape[1] - size + 1))
            symmetry = int(rng.integers(8)) & (7 if pair.centred else 4)  # a transpose keeps the first pixel first
            k = n - rank * share
            if 0 <= k < share:
                low[k, 0] = _turn(pair.low[y : y + size, x : x + size], symmetry)
                high[k, 0] = _turn(pair.high[2 * y : 2 * (y + size), 2 * x : 2 * (x + size)], symmetry)
                white[k] = pair.white
        low /= white
        high /= white
        return low, high


def as_plane(codes: NDArray[np.unsignedinteger], white: int = 255) -> NDArray[np.float32]:
    """Code values to float32 in [0, 1]."""
    return np.asarray(np.asarray(codes, np.float32) / np.float32(white), np.float32)


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


def _codes(plane: NDArray[np.float32]) -> NDArray[np.uint16]:
    return np.rint(np.clip(plane, 0, 1) * WHITE).astype(np.uint16)
