"""PSNR and SSIM of luma frames, fast enough for every frame of a clip."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..metrics import ssim

Plane = NDArray[np.float32]
EQUAL = 100.0  # dB, given for equal frames in place of infinity, which JSON cannot hold
RADIUS, SIGMA = 5, 1.5  # Wang et al. 2004: 11x11 Gaussian window


def frame_psnr(reference: NDArray[Any], result: NDArray[Any], *, peak: float = 255.0) -> float:
    """Peak signal-to-noise ratio in dB of two planes (H, W) in code values up to `peak`; at most 100."""
    difference = np.subtract(reference, result, dtype=np.float32)
    error = float(np.vdot(difference, difference)) / difference.size
    return EQUAL if error == 0 else min(EQUAL, 10.0 * float(np.log10(peak * peak / error)))


def frame_ssim(reference: NDArray[Any], result: NDArray[Any], *, peak: float = 255.0) -> float:
    """`metrics.ssim` of two planes (H, W), in float32 and several times faster; equal to it within 0.0001."""
    if min(reference.shape) <= 2 * RADIUS:
        return ssim(reference, result, peak=peak)
    a, b = (np.asarray(plane, np.float32) / np.float32(peak) for plane in (reference, result))
    mean_a, mean_b = _blur(a), _blur(b)
    product = mean_a * mean_b
    # a*a and b*b are only needed as a sum, which saves one of five blurs
    variances = _blur(a * a + b * b) - mean_a * mean_a - mean_b * mean_b
    covariance = _blur(a * b) - product
    c1, c2 = np.float32(0.01**2), np.float32(0.03**2)
    index = (2 * product + c1) * (2 * covariance + c2)
    index /= (mean_a * mean_a + mean_b * mean_b + c1) * (variances + c2)
    return float(index.mean(dtype=np.float64))


def _blur(plane: Plane) -> Plane:
    from scipy.ndimage import correlate1d

    taps = np.exp(-0.5 * (np.arange(-RADIUS, RADIUS + 1) / SIGMA) ** 2)
    taps /= taps.sum()
    inner = slice(RADIUS, -RADIUS)  # only where the window lies inside the frame
    rows = correlate1d(plane, taps, axis=0, output=np.float32)[inner]
    return np.asarray(correlate1d(rows, taps, axis=1, output=np.float32)[:, inner], np.float32)
