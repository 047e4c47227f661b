"""Making low resolution from high resolution, and enlarging by interpolation for comparison.

All functions take and give luma or single planes as float32 arrays (H, W) in [0, 1] unless said otherwise.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Plane = NDArray[np.float32]

METHODS = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def resize(plane: Plane, width: int, height: int, method: str = "bicubic") -> Plane:
    """Resample a float plane (H, W) to (height, width); Pillow's kernels, antialiased when shrinking.

    Pillow's bicubic is the kernel (a = -0.5) of MATLAB's `imresize`. The result may overshoot the input's range.
    """
    image = Image.fromarray(np.ascontiguousarray(plane, np.float32), mode=None)
    return np.asarray(image.resize((width, height), METHODS[method]), np.float32)


def crop_even(plane: NDArray[np.generic], multiple: int = 2) -> NDArray[np.generic]:
    """Drop the last rows and columns so that both sides divide by `multiple`."""
    height, width = plane.shape[0] // multiple * multiple, plane.shape[1] // multiple * multiple
    return plane[:height, :width]


def shrink(plane: Plane, factor: int = 2, degradation: str = "bicubic") -> Plane:
    """Shrink a float plane whose sides divide by `factor`, as `degradation` says.

    `bicubic` is the papers' protocol (MATLAB `imresize`); `decimate` is a Gaussian blur (sigma 0.8 pixels), then
    `scipy.signal.decimate` (order-8 Chebyshev I filter, zero phase) along each axis.
    """
    if degradation == "bicubic":
        return resize(plane, plane.shape[1] // factor, plane.shape[0] // factor)
    if degradation == "decimate":
        from scipy.ndimage import gaussian_filter
        from scipy.signal import decimate

        small = gaussian_filter(np.asarray(plane, np.float64), 0.8)
        for axis in (0, 1):
            small = decimate(small, factor, axis=axis)
        return np.asarray(small, np.float32)
    raise ValueError(f"unknown degradation {degradation!r}: use bicubic or decimate")


def to_codes(plane: Plane, white: int = 255) -> NDArray[np.unsignedinteger]:
    """Float in [0, 1] to integer code values, clamped and rounded: uint8 up to 255, uint16 above."""
    dtype = np.uint8 if white <= 255 else np.uint16
    return np.rint(np.clip(plane, 0.0, 1.0) * white).astype(dtype)
