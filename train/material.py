"""Where pairs come from: pictures, sections of videos, and stills that are filmed and really encoded.

A unit is a small piece of the data that is loaded at once; its size in memory is known before that.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from espcn_demo.degrade import to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import studio_luma
from train.data import DAMAGED, PICTURES, VIDEOS, WHITE, Pair, as_plane, list_files, load_pair
from train.start import start_network

HELD_OUT = ("kodak", "val", "validation")  # folders of these names are never trained on


class Unit(Protocol):
    """A piece of the data."""

    @property
    def path(self) -> Path:
        """The file it comes from."""

    @property
    def bytes(self) -> int:
        """Its size in memory."""

    def load(self, seed: int) -> list[Pair]:
        """The pairs; `seed` chooses frames of a video. Raises one of DAMAGED when the file cannot be used."""


@dataclass(frozen=True)
class PictureUnit:
    """One picture file."""

    path: Path
    bytes: int
    degradation: str = "bicubic"

    def load(self, seed: int) -> list[Pair]:
        """The picture's pair."""
        return [load_pair(self.path, self.degradation)]


@dataclass(frozen=True)
class EncodedUnit:
    """One still, filmed and encoded; variants differ in camera, look and codec. Kept in a cache folder once made."""

    path: Path
    bytes: int
    variant: int
    cache: Path | None

    @property
    def strength(self) -> float:
        """The x264-like constant rate factor this unit is encoded at."""
        from train.compressed import STRENGTHS, draw_encoding

        return draw_encoding(self._random(), *STRENGTHS).crf

    def _random(self) -> np.random.Generator:
        return np.random.default_rng((zlib.crc32(self.path.name.encode()), self.variant))

    def load(self, seed: int) -> list[Pair]:
        """The pairs, from the cache when they are there."""
        kept = self._cached()
        if kept is not None and kept.exists():
            stored = np.load(kept)
            return [Pair(high, low) for high, low in zip(stored["high"], stored["low"], strict=True)]
        pairs = self._encode()
        if kept is not None:
            _keep(pairs, kept)
        return pairs

    def _encode(self) -> list[Pair]:
        from train.compressed import STRENGTHS, encoded_pairs

        still = as_plane(load_pair(self.path).high, WHITE)
        size = tuple(min(most, side // 16 * 8) for most, side in zip((128, 160), still.shape, strict=True))
        if min(size) < 48:
            raise ValueError("smaller than 96 pixels")
        return [Pair(high, low) for high, low in encoded_pairs(still, self._random(), low_size=size, crf=STRENGTHS)]

    def _cached(self) -> Path | None:
        if self.cache is None:
            return None
        from train.compressed import STRENGTHS

        key = f"{self.path.name} {self.path.stat().st_size} {self.variant} {STRENGTHS}"
        return self.cache / (hashlib.sha256(key.encode()).hexdigest()[:24] + ".npz")


def _keep(pairs: Sequence[Pair], path: Path) -> None:
    temporary = path.with_name(f"{os.getpid()}-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(temporary, high=[pair.high for pair in pairs], low=[pair.low for pair in pairs])
        temporary.rename(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        sentence = f"{path.parent} cannot be written ({error.strerror}): free disk space or choose another --cache."
        raise InputError(sentence) from error


@dataclass(frozen=True)
class ChainUnit:
    """One picture for the second pass of a 4x chain: its low resolution is what the first pass makes of a quarter."""

    path: Path
    bytes: int
    first: Callable[[NDArray[np.float32]], NDArray[np.float32]]  # (H, W) in [0, 1] -> (2H, 2W)

    def load(self, seed: int) -> list[Pair]:
        """The picture's pair: shrunk by four as the benchmarks are, then enlarged once."""
        with Image.open(self.path) as image:
            rgb = image.convert("RGB")
        rgb = rgb.crop((0, 0, rgb.width // 4 * 4, rgb.height // 4 * 4))
        if min(rgb.size) < 4:
            raise ValueError("smaller than four pixels")
        quarter = rgb.resize((rgb.width // 4, rgb.height // 4), Image.Resampling.BICUBIC)
        return [
            Pair(
                to_codes(studio_luma(np.asarray(rgb)), WHITE),
                to_codes(self.first(studio_luma(np.asarray(quarter))), WHITE),
            )
        ]


def chain_units(paths: Sequence[Path], first: Path) -> tuple[list[Unit], list[str]]:
    """Units for the second pass after the weights file `first`."""
    network = start_network(first)

    def enlarge(low: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            result = network(torch.from_numpy(low)[None, None])[0, 0].numpy()
        return np.asarray(to_codes(result) / np.float32(255), np.float32)  # the passes hand over 8-bit codes

    pictures, damaged = picture_units(paths, "bicubic")
    return [ChainUnit(unit.path, unit.bytes, enlarge) for unit in pictures], damaged


def picture_units(paths: Sequence[Path], degradation: str) -> tuple[list[Unit], list[str]]:
    """A unit for each readable picture, and a sentence on each file that is not one."""
    units: list[Unit] = []
    damaged = []
    for path in paths:
        try:
            with Image.open(path) as image:
                units.append(PictureUnit(path, image.width * image.height * 5 // 2, degradation))
        except DAMAGED as error:
            damaged.append(f"{path}: {error}")
    return units, damaged


def encoded_units(
    paths: Sequence[Path], *, variants: int, crf: tuple[float, float], cache: Path | None
) -> tuple[list[Unit], list[str]]:
    """About `variants` units for each still, more for larger ones; only those with a strength within `crf`."""
    units: list[Unit] = []
    pictures, damaged = picture_units(paths, "bicubic")
    for unit in pictures:
        area = unit.bytes * 2 / 5
        count = int(np.clip(round(variants * (area / 150_000) ** 0.5), 1, 2 * variants))
        made = [EncodedUnit(unit.path, 3 * 128 * 160 * 5, n, cache) for n in range(count)]
        units += [one for one in made if crf[0] <= one.strength <= crf[1]]
    return units, damaged


def split(data: Sequence[Path]) -> tuple[list[Path], list[Path], list[Path]]:
    """Pictures to train on, pictures in folders named for validation, and videos."""
    files = list_files(data, PICTURES | VIDEOS)
    pictures = [path for path in files if path.suffix.lower() in PICTURES]
    held = [path for path in pictures if any(part in HELD_OUT for part in path.parts)]
    videos = [path for path in files if path.suffix.lower() not in PICTURES]
    return [path for path in pictures if path not in set(held)], held, videos
