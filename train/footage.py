"""Moving footage made from a still: panned, zoomed, turned, faded, softened and grainy.

It stands in for real clips, so that the clips quality is measured on are never trained on.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

Plane = NDArray[np.float32]
Random = np.random.Generator


@dataclass(frozen=True)
class Look:
    """How the camera saw the scene: blur and grain in pixels and in parts of the range, gain at start and end."""

    blur: float
    grain: float
    grain_blur: float
    gain: tuple[float, float]
    lift: float


def draw_look(rng: Random) -> Look:
    """A random look: two fifths are sharp and clean, the rest soft, grainy, faded or several of these."""
    blur = float(rng.choice([0.0, rng.uniform(0.4, 1.0), rng.uniform(1.0, 2.0)], p=[0.4, 0.4, 0.2]))
    grain = float(rng.choice([0.0, rng.uniform(0.003, 0.015), rng.uniform(0.015, 0.04)], p=[0.5, 0.35, 0.15]))
    gain = float(rng.uniform(0.6, 1.05))
    fades = rng.random() < 0.1
    return Look(
        blur=blur,
        grain=grain,
        grain_blur=float(rng.choice([0.0, 0.5, 0.8])),
        gain=(gain, gain * float(rng.uniform(0.4, 1.2)) if fades else gain),
        lift=float(rng.uniform(0.0, 0.08)),
    )


def move(still: Plane, size: tuple[int, int], frames: int, rng: Random) -> list[Plane]:
    """`frames` views (height, width) = `size` of a still (H, W) in [0, 1] along a random smooth camera path.

    The still is first reduced by a random factor, as far as it stays larger than a view. A third of the paths stand
    still. The last rows and columns of the still are repeated where a view leaves it.
    """
    height, width = size
    room = min(still.shape[0] / height, still.shape[1] / width)
    reduction = float(np.clip(rng.uniform(0.8, 2.2), 1.0, max(1.0, room / 1.1)))
    if reduction > 1.02:
        small = (round(still.shape[1] / reduction), round(still.shape[0] / reduction))
        still = np.asarray(Image.fromarray(still).resize(small, Image.Resampling.LANCZOS))
    source = Image.fromarray(np.ascontiguousarray(still))
    travel = np.zeros(2) if rng.random() < 0.33 else rng.normal(0, 2.5, 2)  # pixels a frame, x and y
    zoom = float(rng.choice([0.0, rng.normal(0, 0.004)]))  # a frame
    turn = float(rng.choice([0.0, rng.normal(0, 0.003)], p=[0.7, 0.3]))  # radians a frame
    spare = np.array([still.shape[1] - width, still.shape[0] - height], np.float64)
    path = travel * (frames - 1)
    low, high = np.maximum(0, -path), np.maximum(np.minimum(spare, spare - path), np.maximum(0, -path))
    corner = rng.uniform(low, high + 1e-9)
    views = []
    for index in range(frames):
        scale, angle = 1 - abs(zoom) * (index if zoom > 0 else frames - 1 - index), turn * index
        cosine, sine = scale * np.cos(angle), scale * np.sin(angle)
        centre = corner + travel * index + np.array([width, height]) / 2
        shift = centre - np.array([cosine * width - sine * height, sine * width + cosine * height]) / 2
        shift = np.clip(shift, 0, np.maximum(spare, 0)) if turn == 0 else shift
        matrix = (cosine, -sine, shift[0], sine, cosine, shift[1])
        view = source.transform((width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BICUBIC)
        views.append(np.asarray(view, np.float32))
    return views


def film(views: list[Plane], look: Look, rng: Random) -> list[Plane]:
    """Give views (H, W) in [0, 1] a look; grain is new in every frame and part of the picture."""
    filmed = []
    for index, view in enumerate(views):
        gain = np.interp(index, (0, len(views) - 1), look.gain)
        frame = gaussian_filter(view, look.blur) if look.blur else view
        frame = look.lift + (frame - 0.06) * gain + 0.06
        if look.grain:
            grain = rng.standard_normal(frame.shape, np.float32)
            if look.grain_blur:
                grain = gaussian_filter(grain, look.grain_blur)
                grain /= grain.std()
            frame = frame + look.grain * grain
        filmed.append(np.clip(frame, 0, 1).astype(np.float32))
    return filmed
