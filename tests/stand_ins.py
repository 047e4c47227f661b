"""Upscalers that need no weights, for tests of what is around the network."""

from __future__ import annotations

import numpy as np


class Nearest:
    """Repeats pixels: exact, so that whatever else happens to a picture can be seen."""

    name, reason, refusals = "nearest", "a test asked for it", ()

    def __init__(self, scale: int = 2) -> None:
        self.scale = scale
        self.shapes: list[tuple[int, ...]] = []

    def upscale(self, frames: np.ndarray, *, white: int | None = None) -> np.ndarray:
        self.shapes.append(frames.shape)
        return frames.repeat(self.scale, 1).repeat(self.scale, 2)


class Failing:
    """Raises what it was given."""

    name, reason, refusals, scale = "failing", "a test asked for it", (), 2

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def upscale(self, frames: np.ndarray, *, white: int | None = None) -> np.ndarray:
        raise self.error
