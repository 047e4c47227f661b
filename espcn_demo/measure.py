"""Measured honestly: shrink the original, restore it by every method, compare with the original.

A plain enlargement has no original to compare with, so it has no PSNR: only its difference from bicubic is given, and
named as that.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from espcn_demo.degrade import Plane, crop_even, resize, shrink, to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr, ssim
from espcn_demo.planes import luma_of
from espcn_demo.tiling import upscale_plane
from espcn_demo.upscaler import Codes, Upscaler, default_white

if TYPE_CHECKING:
    from espcn_demo.image.picture import Picture

NETWORK = "network"
_INTERPOLATIONS = ("bicubic", "lanczos", "bilinear", "nearest")
_SMALLEST = 8  # pixels a side that a shrunk plane needs for a meaningful figure


@dataclass(frozen=True)
class Score:
    """One method against the original: PSNR in dB (infinite when equal) and SSIM."""

    method: str
    psnr: float
    ssim: float


@dataclass(frozen=True)
class Measurement:
    """Scores of all methods, the network first, and the planes they were taken from.

    scores    on luma, a border of `scale` pixels left out
    original  (H, W) luma, cropped to a multiple of `scale`, and to the middle when that was asked for
    shrunk    (H / scale, W / scale), what every method started from
    planes    method -> (H, W), all of the original's dtype
    protocol  how it was measured, one sentence
    """

    scores: tuple[Score, ...]
    scale: int
    original: Codes
    shrunk: Codes
    planes: dict[str, Codes]
    protocol: str

    def score(self, method: str = NETWORK) -> Score:
        """The score of one method."""
        return next(score for score in self.scores if score.method == method)

    @property
    def gain(self) -> float:
        """PSNR of the network less that of bicubic, dB; 0 when bicubic is already exact."""
        network, bicubic = self.score().psnr, self.score("bicubic").psnr
        return network - bicubic if np.isfinite(bicubic) and np.isfinite(network) else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Scores and protocol as plain values, for JSON; an infinite PSNR is None."""
        scores = [asdict(score) | {"psnr": score.psnr if np.isfinite(score.psnr) else None} for score in self.scores]
        return {"scores": scores, "scale": self.scale, "gain_over_bicubic": self.gain, "protocol": self.protocol}


def measure_plane(
    plane: Codes, upscaler: Upscaler, white: int | None = None, *, largest: int | None = None
) -> Measurement:
    """Shrink a luma plane (H, W) by the engine's scale, restore it by every method and compare.

    `white` is the largest code value, by default 255 or 65535 by dtype; with `largest` only the middle of a plane of
    more pixels is measured.

    Raises:
        InputError: the plane is too small to be shrunk.
    """
    scale, white = upscaler.scale, default_white(plane, white)
    original = _middle(crop_even(plane, scale), scale, largest)
    height, width = original.shape
    if min(height, width) < _SMALLEST * scale:
        raise InputError(f"measuring at {scale}x needs at least {_SMALLEST * scale} pixels a side.")
    reference = _unit(original, white)
    shrunk = to_codes(shrink(reference, scale), white)
    planes: dict[str, Codes] = {NETWORK: upscale_plane(upscaler, shrunk, white=white)}
    for method in _INTERPOLATIONS:
        planes[method] = to_codes(resize(_unit(shrunk, white), width, height, method), white)
    return Measurement(
        scores=tuple(_score(method, reference, _unit(result, white), scale) for method, result in planes.items()),
        scale=scale,
        original=original,
        shrunk=shrunk,
        planes=planes,
        protocol=_protocol(original, plane, scale),
    )


def measure_picture(picture: Picture, upscaler: Upscaler, *, largest: int | None = None) -> Measurement:
    """`measure_plane` on the luma of a picture (full-range BT.601)."""
    luma = picture.colour if picture.is_grey else luma_of(picture.colour)
    return measure_plane(luma, upscaler, largest=largest)


def difference_from_bicubic(source: Picture, result: Picture) -> float:
    """How far the luma of an enlarged picture is from its bicubic enlargement: PSNR between the two, dB.

    No measure of quality: high means that the network changed little, infinite that it changed nothing.
    """
    before, after = (one.colour if one.is_grey else luma_of(one.colour) for one in (source, result))
    white = default_white(after)
    bicubic = to_codes(resize(_unit(before, white), result.width, result.height), white)
    return psnr(_unit(bicubic, white), _unit(after, white))


def _score(method: str, reference: Plane, result: Plane, border: int) -> Score:
    return Score(method, psnr(reference, result, border=border), ssim(reference, result, border=border))


def _unit(plane: Codes, white: int) -> Plane:
    return plane.astype(np.float32) / np.float32(white)


def _middle(plane: NDArray[Any], scale: int, largest: int | None) -> Codes:
    """The middle of a plane, of the same proportions, with at most `largest` pixels."""
    height, width = plane.shape
    share = 1.0 if largest is None else min(1.0, (largest / max(1, height * width)) ** 0.5)
    rows, columns = (max(scale, int(side * share) // scale * scale) if side else 0 for side in (height, width))
    top, left = (height - rows) // 2, (width - columns) // 2
    return np.ascontiguousarray(plane[top : top + rows, left : left + columns])


def _protocol(original: Codes, plane: Codes, scale: int) -> str:
    part = "" if plane.size < 2 * original.size else ", its middle only"
    return (
        f"luma (full-range BT.601) at {original.shape[1]}x{original.shape[0]}{part}, shrunk by {scale} with bicubic, "
        f"restored, compared with the original; a border of {scale} pixels left out"
    )
