"""Three ways of enlarging colour with a network for one plane, and the error each makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from espcn_demo.degrade import to_codes
from espcn_demo.metrics import psnr, studio_luma
from train.data import WHITE, as_plane
from train.methods import Method, interpolation

COLOURS = ("luma of YUV", "luma of YCbCr", "red, green and blue")
RGB_TO_YUV = np.array([[0.299, 0.587, 0.114], [-0.14713, -0.28886, 0.436], [0.615, -0.51499, -0.10001]])  # BT.601
# BT.601 studio range: Y' from 16 to 235, chroma from 16 to 240 around 128
RGB_TO_YCBCR = np.array([[65.481, 128.553, 24.966], [-37.797, -74.203, 112.0], [112.0, -93.786, -18.214]]) / 255
OFFSET = np.array([16, 128, 128]) / 255

Rgb = NDArray[np.uint8]


def read_rgb(path: Path) -> tuple[Rgb, Rgb]:
    """A picture with even sides and its half by bicubic: (2H, 2W, 3) and (H, W, 3) uint8."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    rgb = rgb.crop((0, 0, rgb.width // 2 * 2, rgb.height // 2 * 2))
    return np.asarray(rgb), np.asarray(rgb.resize((rgb.width // 2, rgb.height // 2), Image.Resampling.BICUBIC))


def planes_of(path: Path, colour: str) -> Iterator[tuple[NDArray[Any], NDArray[Any]]]:
    """The planes a network is trained on: high and low, uint16; one of luma, or red, green and blue."""
    high, low = read_rgb(path)
    count = 3 if colour == COLOURS[2] else 1
    for n in range(count):
        yield to_codes(_split(high, colour)[n], WHITE), to_codes(_split(low, colour)[n], WHITE)


def colour_scores(method: Method, colour: str, paths: Sequence[Path]) -> tuple[float, float, float]:
    """Means over colour pictures: PSNR of studio luma, PSNR of RGB, colour error (CIEDE2000)."""
    from skimage.color import deltaE_ciede2000, rgb2lab

    scores = []
    for path in paths:
        high, low = read_rgb(path)
        planes = _split(low, colour)
        bicubic = interpolation("bicubic")
        enlarged = [(method if n == 0 or colour == COLOURS[2] else bicubic)(plane) for n, plane in enumerate(planes)]
        result = np.asarray(to_codes(_join(enlarged, colour)), np.uint8)
        a, b = high[2:-2, 2:-2], result[2:-2, 2:-2]
        luma = psnr(studio_luma(a), as_plane(to_codes(studio_luma(b))))
        error = float(np.mean(deltaE_ciede2000(rgb2lab(a), rgb2lab(b))))
        scores.append((luma, psnr(a.reshape(-1, 3), b.reshape(-1, 3), peak=255), error))
    mean = np.mean(scores, axis=0)
    return float(mean[0]), float(mean[1]), float(mean[2])


def _split(rgb: Rgb, colour: str) -> list[NDArray[np.float32]]:
    """Planes in [0, 1], except the chroma of YUV, which lies around 0."""
    values = rgb.astype(np.float64) / 255
    if colour == COLOURS[0]:
        values = values @ RGB_TO_YUV.T
    elif colour == COLOURS[1]:
        values = values @ RGB_TO_YCBCR.T + OFFSET
    return [np.ascontiguousarray(values[..., n], np.float32) for n in range(3)]


def _join(planes: Sequence[NDArray[np.float32]], colour: str) -> NDArray[np.float32]:
    values = np.stack(planes, axis=-1).astype(np.float64)
    if colour == COLOURS[0]:
        values = values @ np.linalg.inv(RGB_TO_YUV).T
    elif colour == COLOURS[1]:
        values = (values - OFFSET) @ np.linalg.inv(RGB_TO_YCBCR).T
    return np.asarray(values, np.float32)
