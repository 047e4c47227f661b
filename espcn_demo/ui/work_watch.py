"""Progress of a clip for the page: numbers, and now and then a picture of the newest frame."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..video.report import Progress

LOOK_EVERY = 0.8  # seconds between two pictures of the newest frame


@dataclass(frozen=True)
class Glimpse:
    """Progress of a run; `picture` is a JPEG of the newest frame's luma, when there is a new one."""

    frames: int
    total: int | None
    fps: float
    eta: float | None
    picture: Path | None
    width: int
    height: int


class Watcher:
    """Turns the pipeline's progress into glimpses, with a picture now and then."""

    def __init__(self, folder: Path, tell: Callable[[object], None]) -> None:
        self._folder, self._tell = folder, tell
        self._last = self._number = 0.0

    def __call__(self, progress: Progress) -> None:
        """Pass one step on, a few a second at most."""
        now = time.monotonic()
        picture = None
        if now - self._last >= LOOK_EVERY:
            self._last = now
            self._number += 1
            picture = self._picture(progress.latest)
        elif progress.total is None or progress.frames < progress.total:
            return
        height, width = progress.latest.shape
        self._tell(Glimpse(progress.frames, progress.total, progress.fps, progress.eta, picture, width, height))

    def _picture(self, latest: np.ndarray[Any, Any]) -> Path:
        from PIL import Image

        step = max(1, max(latest.shape) // 1280)
        shown = latest[::step, ::step]
        if shown.dtype != np.uint8:
            shown = (shown >> max(0, int(latest.max()).bit_length() - 8)).astype(np.uint8)
        # The newest few are kept: a browser may still be loading the one before.
        path = self._folder / f"live-{self._number % 4:.0f}.jpg"
        Image.fromarray(np.ascontiguousarray(shown)).save(path, quality=80)
        return path
