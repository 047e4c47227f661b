"""PSNR and SSIM of luma planes.

The papers' protocol for pictures: Y of BT.601 studio range as MATLAB's `rgb2ycbcr`, a border as wide as the scale
left out, 8-bit values.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

# MATLAB rgb2ycbcr: 16 + 65.481 R + 128.553 G + 24.966 B for R, G, B in [0, 1] (ITU-R BT.601)
STUDIO_LUMA = (65.481, 128.553, 24.966)


def studio_luma(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) or (H, W) uint8 -> (H, W) float32 studio-range Y of BT.601, in [0, 1] for code values 0 to 255.

    Not rounded. Grey pictures count as R = G = B.
    """
    values = np.asarray(rgb, np.float64)
    if values.ndim == 2:
        luma = 16.0 + values / 255.0 * sum(STUDIO_LUMA)
    else:
        luma = 16.0 + values[..., :3] @ (np.array(STUDIO_LUMA) / 255.0)
    return np.asarray(luma / 255.0, np.float32)


def psnr(reference: ArrayLike, result: ArrayLike, *, peak: float = 1.0, border: int = 0) -> float:
    """Peak signal-to-noise ratio in dB of two planes (H, W) of equal shape; infinite when they are equal.

    `border` pixels are left out on each side when the planes are large enough to keep any.
    """
    a, b = _inner(reference, border), _inner(result, border)
    error = float(np.mean((a - b) ** 2))
    return float("inf") if error == 0 else 10.0 * float(np.log10(peak * peak / error))


def ssim(reference: ArrayLike, result: ArrayLike, *, peak: float = 1.0, border: int = 0) -> float:
    """Mean structural similarity of two planes (Wang et al. 2004: 11x11 Gaussian window, sigma 1.5).

    Planes smaller than the window are compared as a whole.
    """
    from skimage.metrics import structural_similarity

    a, b = _inner(reference, border), _inner(result, border)
    if min(a.shape) < 11:
        c1, c2 = (0.01 * peak) ** 2, (0.03 * peak) ** 2
        covariance = float(np.mean((a - a.mean()) * (b - b.mean())))
        luminance = (2 * a.mean() * b.mean() + c1) / (a.mean() ** 2 + b.mean() ** 2 + c1)
        return float(luminance * (2 * covariance + c2) / (a.var() + b.var() + c2))
    whole = structural_similarity(a, b, data_range=peak, gaussian_weights=True, sigma=1.5, use_sample_covariance=False)
    return float(whole)


def _inner(plane: ArrayLike, border: int) -> NDArray[np.float64]:
    values = np.asarray(plane, np.float64)
    if border and min(values.shape) > 2 * border:
        values = values[border:-border, border:-border]
    return values
