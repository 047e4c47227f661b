"""From colour pictures to luma and back: full-range BT.601, in strips of rows so that memory stays bounded.

Only luma goes through the network. Colour is what is left of R, G and B without the luma; it is enlarged bicubically
and added to the enlarged luma. That is the same as enlarging Cb and Cr, which are R and B without the luma, scaled;
but nothing is rounded on the way, so that flat colours come out exactly as they went in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from espcn_demo.backends.machine import granted_cores
from espcn_demo.degrade import resize
from espcn_demo.upscaler import Codes

# Y' = 0.299 R' + 0.587 G' + 0.114 B' (ITU-R BT.601, full range as in JFIF) in 1/65536; the weights sum to 65536, so
# that grey keeps its value, and 65535 * 65536 + 32768 still fits in 32 bits.
LUMA_WEIGHTS = (19595, 38470, 7471)

_STRIP = 1 << 18  # low-resolution pixels worked on at a time by each thread
_BICUBIC_REACH = 2  # low-resolution pixels that bicubic enlargement looks at on each side
_HIDDEN_REACH = 8  # more than the network's halo plus the one pixel by which a matte can grow


def luma_of(colour: Codes) -> Codes:
    """(H, W, 3) R'G'B' uint8 or uint16 -> (H, W) full-range Y' of BT.601, rounded, of the same dtype."""
    height, width, _ = colour.shape
    result = np.empty((height, width), colour.dtype)

    def work(rows: slice) -> None:
        total = np.full(result[rows].shape, 1 << 15, np.uint32)
        for channel, weight in enumerate(LUMA_WEIGHTS):
            total += colour[rows, :, channel].astype(np.uint32) * np.uint32(weight)
        result[rows] = total >> 16

    _in_strips(work, height, width)
    return result


def add_colour(colour: Codes, luma: Codes, enlarged: Codes, *, method: str = "bicubic") -> Codes:
    """The colours of a picture on its enlarged luma, rounded and clamped to the range of the dtype.

    Args:
        colour: (H, W, 3) R'G'B', uint8 or uint16.
        luma: (H, W), what `luma_of` gives for `colour`.
        enlarged: (S*H, S*W), `luma` enlarged by a whole number S.
        method: how the colours are enlarged, "bicubic" or "lanczos".

    Returns:
        (S*H, S*W, 3) of the same dtype.
    """
    height, width = luma.shape
    scale = enlarged.shape[0] // height
    result = np.empty((*enlarged.shape, 3), colour.dtype)
    white = np.iinfo(colour.dtype).max
    reach = _BICUBIC_REACH + (method == "lanczos")

    def work(rows: slice) -> None:
        seen = slice(max(0, rows.start - reach), min(height, rows.stop + reach))
        kept = slice(scale * (rows.start - seen.start), scale * (rows.stop - seen.start))
        big_rows = slice(scale * rows.start, scale * rows.stop)
        base = enlarged[big_rows].astype(np.float32)
        grey = luma[seen].astype(np.float32)
        for channel in range(3):
            difference = colour[seen, :, channel] - grey
            smooth = resize(difference, scale * width, scale * difference.shape[0], method)[kept]
            result[big_rows, :, channel] = np.clip(np.rint(smooth + base), 0, white)

    _in_strips(work, height, width)
    return result


def fill_hidden(colour: Codes, alpha: Codes) -> Codes:
    """Give fully transparent pixels near visible ones the colour of the nearest visible one.

    What lies under a transparent pixel is arbitrary, mostly black; enlarged as it is, it bleeds into the visible edge
    as a dark fringe. (H, W) or (H, W, 3) and (H, W), uint8 or uint16 -> as `colour`.
    """
    from scipy.ndimage import distance_transform_edt

    result = colour.copy()
    height, width = alpha.shape

    def work(rows: slice) -> None:
        seen = slice(max(0, rows.start - _HIDDEN_REACH), min(height, rows.stop + _HIDDEN_REACH))
        hidden = alpha[seen] == 0
        if hidden.any() and not hidden.all():
            nearest = distance_transform_edt(hidden, return_distances=False, return_indices=True)
            nearest = nearest[:, rows.start - seen.start : rows.stop - seen.start]
            result[rows] = colour[seen][nearest[0], nearest[1]]

    _in_strips(work, height, width)
    return result


def clamp_matte(alpha: Codes, enlarged: Codes) -> Codes:
    """Keep an enlarged alpha plane within the values of the 3x3 pixels around each source pixel.

    A network sharpens by overshooting a little, which in a matte shows as dirt in empty and holes in solid parts.
    (H, W) and (S*H, S*W) -> (S*H, S*W).
    """
    from scipy.ndimage import maximum_filter, minimum_filter

    height, width = alpha.shape
    scale = enlarged.shape[0] // height
    result = np.empty_like(enlarged)

    def work(rows: slice) -> None:
        seen = slice(max(0, rows.start - 1), min(height, rows.stop + 1))
        kept = slice(rows.start - seen.start, rows.stop - seen.start)
        low, high = (
            extreme(alpha[seen], 3, mode="nearest")[kept].repeat(scale, 0).repeat(scale, 1)
            for extreme in (minimum_filter, maximum_filter)
        )
        big_rows = slice(scale * rows.start, scale * rows.stop)
        np.clip(enlarged[big_rows], low, high, out=result[big_rows])

    _in_strips(work, height, width)
    return result


def over_white(colour: Codes, alpha: Codes) -> Codes:
    """Lay a picture with transparency on white: (H, W) or (H, W, 3) and (H, W) -> as `colour`."""
    result = np.empty_like(colour)
    white = np.float32(np.iinfo(colour.dtype).max)

    def work(rows: slice) -> None:
        share = alpha[rows].astype(np.float32) / white
        if colour.ndim == 3:
            share = share[..., None]
        result[rows] = np.rint(white + (colour[rows] - white) * share)

    _in_strips(work, alpha.shape[0], alpha.shape[1])
    return result


def to_depth(values: Codes, dtype: type[np.uint8] | type[np.uint16]) -> Codes:
    """uint8 <-> uint16, rounded: 255 and 65535 are the same white."""
    if values.dtype == dtype:
        return values
    if dtype is np.uint16:
        return values.astype(np.uint16) * np.uint16(257)
    result = np.empty(values.shape, np.uint8)

    def work(rows: slice) -> None:
        result[rows] = (values[rows].astype(np.uint32) + 128) // 257

    _in_strips(work, values.shape[0], int(np.prod(values.shape[1:])))
    return result


def _in_strips(work: Callable[[slice], None], height: int, width: int) -> None:
    """Run `work` on strips of rows, one thread a core; numpy and Pillow let go of the interpreter meanwhile."""
    strips = list(_strips(height, width))
    if len(strips) == 1:
        work(strips[0])
        return
    with ThreadPoolExecutor(granted_cores()) as threads:
        for _ in threads.map(work, strips):
            pass


def _strips(height: int, width: int) -> Iterator[slice]:
    rows = max(16, _STRIP // width)
    for start in range(0, height, rows):
        yield slice(start, min(height, start + rows))
