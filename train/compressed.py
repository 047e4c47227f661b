"""Training pairs for compressed sources, made by really encoding footage.

Strengths are written as x264's constant rate factor (crf): 14 is nearly clean, 36 coarse; the other codecs' own scales
are mapped to about the same damage.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from espcn_demo.degrade import shrink, to_codes
from train.codecs import Codes8, jpeg_round_trip, round_trip
from train.data import as_plane
from train.footage import Plane, Random, draw_look, film, move

STRENGTHS = (13.0, 36.0)  # crf that units are encoded at; a run may use a part of them
FRAMES = 12
LAST_KEPT = 8  # the encoder looks ahead: the last frames of a clip are coded unlike those of a long one


@dataclass(frozen=True)
class Encoding:
    """What happens between the high and the low resolution."""

    codec: str  # libx264, libx265, libvpx-vp9, jpeg; "none" shrinks footage that was compressed before
    crf: float
    preset: str = "medium"
    master: float | None = None  # crf of the high-resolution footage itself, which real footage always has


def draw_encoding(rng: Random, weakest: float, strongest: float) -> Encoding:
    """A random encoding between two strengths; three quarters are H.264, as most of what people upload."""
    codec = str(rng.choice(["libx264", "libx265", "libvpx-vp9", "jpeg", "none"], p=[0.66, 0.1, 0.06, 0.13, 0.05]))
    preset = str(rng.choice(["medium", "veryfast"], p=[0.75, 0.25])) if codec != "libx265" else "ultrafast"
    master = float(rng.uniform(14, 26)) if rng.random() < 0.5 or codec == "none" else None
    return Encoding(codec, float(rng.uniform(weakest, strongest)), preset, master)


def encoded_pairs(
    still: Plane,
    rng: Random,
    *,
    low_size: tuple[int, int] = (128, 160),
    crf: tuple[float, float] = STRENGTHS,
    keep: int = 3,
) -> list[tuple[Codes8, Codes8]]:
    """Film a still, shrink, encode and decode: `keep` pairs of high (2H, 2W) and low (H, W) uint8 luma codes.

    The still is a float plane (rows, columns) in [0, 1] of at least twice `low_size`.
    """
    encoding, look = draw_encoding(rng, *crf), draw_look(rng)
    count = keep if encoding.codec == "jpeg" and encoding.master is None else FRAMES
    views = film(move(still, (2 * low_size[0], 2 * low_size[1]), count, rng), look, rng)
    high = [_codes(view) for view in views]
    if encoding.master is not None:
        high = round_trip(high, crf=encoding.master, preset="veryfast")
    clean = high if encoding.codec != "none" else [_codes(view) for view in views]
    small = [_codes(shrink(as_plane(frame))) for frame in high]
    low = compress(small, encoding)
    chosen = np.sort(rng.permutation(min(LAST_KEPT + 1, len(low)))[:keep])
    return [(clean[n], low[n]) for n in chosen]


def compress(frames: list[Codes8], encoding: Encoding) -> list[Codes8]:
    """Send low-resolution luma frames through a codec at about the damage of x264 at `encoding.crf`."""
    crf = encoding.crf
    if encoding.codec == "none":
        return frames
    if encoding.codec == "jpeg":
        quality = int(np.clip(95 - (crf - 14) * 2.6, 30, 95))
        return [jpeg_round_trip(frame, quality) for frame in frames]
    if encoding.codec == "libvpx-vp9":
        crf = min(1.6 * crf - 2, 60)
    return round_trip(frames, codec=encoding.codec, crf=crf, preset=encoding.preset)


def _codes(plane: Plane) -> Codes8:
    return np.asarray(to_codes(plane), np.uint8)
