"""Pictures for looking at: enlarged by plain methods, shrunk for measuring, in formats that every browser shows.

PSNR is measured on the arrays, never on these files.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from math import isinf, sqrt
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ..degrade import shrink, to_codes
from . import wording
from .compare import Side

if TYPE_CHECKING:
    from ..image.picture import Picture
    from ..upscaler import Codes

SMOOTH = ("bicubic", "lanczos", "bilinear")
LARGEST = 40_000_000  # pixels of a preview; the download is always whole
SIDE = 65_500  # pixels of a JPEG's longer side


def sides(small: Picture, large: Picture, folder: Path) -> tuple[Side, ...]:
    """The left sides: the source enlarged to the size of `large` by plain methods, nearest by the browser itself."""
    source = eight_bits(small)
    size = _shown_size(large.width, large.height)

    def write(method: str) -> Side:
        path = _save(_resized(source, size, method), folder / f"{method}.jpg", small)
        return Side(wording.METHOD_NAMES[method], path)

    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(write, SMOOTH))
    nearest = folder / "nearest.png"
    Image.fromarray(source).save(nearest, compress_level=1, icc_profile=_profile(small))
    return (*made, Side("Source (nearest)", nearest, pixelated=True))


def picture_side(label: str, picture: Picture, path: Path) -> Side:
    """A picture as one side."""
    source = eight_bits(picture)
    return Side(label, _save(_resized(source, _shown_size(picture.width, picture.height), "bicubic"), path, picture))


def plain_side(label: str, small: Picture, width: int, height: int, method: str, path: Path) -> Side:
    """A picture enlarged to (width, height) by a plain method, as one side."""
    return Side(label, _save(_resized(eight_bits(small), _shown_size(width, height), method), path, small))


def thumbnail(picture: Picture, path: Path, longest: int = 640) -> None:
    """A small JPEG."""
    image = Image.fromarray(eight_bits(picture))
    image.thumbnail((longest, longest))
    _save(image, path, picture)


def eight_bits(picture: Picture) -> Codes:
    """(H, W) or (H, W, 3) uint8; transparent pixels over white."""
    colour = picture.colour
    if picture.alpha is not None:
        white = np.iinfo(colour.dtype).max
        opaque = (picture.alpha if picture.is_grey else picture.alpha[..., None]).astype(np.float32) / white
        colour = np.rint(colour * opaque + white * (1 - opaque)).astype(colour.dtype)
    return colour if colour.dtype == np.uint8 else (colour >> 8).astype(np.uint8)


def cropped(picture: Picture, multiple: int) -> Picture:
    """The picture without its last rows and columns, so that both sides divide by `multiple`."""
    height, width = (side // multiple * multiple for side in picture.colour.shape[:2])
    alpha = None if picture.alpha is None else picture.alpha[:height, :width]
    return replace(picture, colour=picture.colour[:height, :width], alpha=alpha)


def shrunk(picture: Picture, factor: int) -> Picture:
    """The picture shrunk bicubically (MATLAB's `imresize`), the papers' way of making low resolution."""
    whole = cropped(picture, factor)
    white = int(np.iinfo(picture.colour.dtype).max)

    def small(plane: Codes) -> Codes:
        return to_codes(shrink(np.asarray(plane, np.float32) / np.float32(white), factor), white)

    colour = whole.colour
    made = small(colour) if colour.ndim == 2 else np.dstack([small(colour[..., channel]) for channel in range(3)])
    return replace(whole, colour=made, alpha=None if whole.alpha is None else small(whole.alpha))


def difference(small: Picture, large: Picture) -> str:
    """How far the result is from bicubic: not a PSNR, which needs an original."""
    from ..measure import difference_from_bicubic

    apart = difference_from_bicubic(small, large)
    if isinf(apart):
        return "It equals bicubic: there is nothing in this picture to sharpen."
    percent = 100 * sqrt(10 ** (-apart / 10))
    return (
        f"It differs from bicubic by {percent:.2f} % of full scale on average (root mean square). "
        "Switch on Measure for a PSNR against an original."
    )


def _shown_size(width: int, height: int) -> tuple[int, int]:
    factor = min(1.0, sqrt(LARGEST / (width * height)), SIDE / max(width, height))
    return max(1, int(width * factor)), max(1, int(height * factor))


def _resized(source: Codes, size: tuple[int, int], method: str) -> Image.Image:
    image = Image.fromarray(source)
    return image if image.size == size else image.resize(size, Image.Resampling[method.upper()])


def _save(image: Image.Image, path: Path, picture: Picture) -> Path:
    image.save(path, quality=95, subsampling=0, icc_profile=_profile(picture))
    return path


def _profile(picture: Picture) -> bytes | None:
    """The profile that the colours belong to, so that wide-gamut pictures are not shown dull."""
    return None if picture.is_grey else picture.metadata.icc or None
