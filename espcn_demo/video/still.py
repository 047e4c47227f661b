"""Still scenes: what has not changed since the frame before is not computed again.

A frame equal to the one before takes over its result. Where a band of rows changed (a screen recording, a caption),
only that band with the network's halo around it is computed, if it is small enough to be a win. Both give the bytes
that computing everything would give; whether an engine keeps to that for bands is checked on the first band.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from ..dimensions import HALO
from .frames import Samples

if TYPE_CHECKING:
    from ..upscaler import Upscaler

log = logging.getLogger(__name__)

_PARTS = (8, 4, 2)  # bands are an eighth, a quarter or half of the height: few shapes for an engine to prepare
_LOWEST = 64  # rows; preparing an engine for the bands of smaller frames costs more than it saves
_TRIALS = 4  # frames in a row whose change fits a band before an engine prepares for bands


class Stills:
    """Wraps an engine for one clip; give it the frames in order.

    step      planes of one frame: 1, or 2 with alpha
    computed  planes that the engine computed whole
    reused, banded  planes that took over everything, or all but a band
    """

    def __init__(self, engine: Upscaler, *, step: int = 1, bands: bool = True) -> None:
        self.engine, self.step = engine, step
        self.computed = self.reused = self.banded = 0
        self._bands, self._checked, self._fitting = bands, False, 0
        self._source: Samples | None = None  # (step, H, W), the last frame and its result
        self._result: Samples | None = None

    def upscale(self, planes: Samples, *, white: int) -> Samples:
        """(N * step, H, W) -> (N * step, s*H, s*W), equal to the engine's own result."""
        plans = [self._plan(planes, index) for index in range(len(planes))]
        whole = [index for index, plan in enumerate(plans) if plan is None]
        if len(whole) == len(planes):
            self.computed += len(planes)
            result = self.engine.upscale(planes, white=white)
        else:
            result = self._patch(planes, plans, whole, white)
        self._source, self._result = planes[-self.step :], result[-self.step :]
        return result

    def _plan(self, planes: Samples, index: int) -> tuple[int, int] | None:
        """Rows [first, last) that changed since the frame before, (0, 0) for none, None to compute everything."""
        before = self._before(planes, self._source, index)
        if before is None:
            return None
        plane = planes[index]
        # A look at a few rows is enough for footage in motion, where everything changes.
        if (
            not np.array_equal(plane[:: max(1, len(plane) // 8)], before[:: max(1, len(plane) // 8)])
            and not self._bands
        ):
            return None
        rows = np.flatnonzero((plane != before).any(axis=1))
        if not len(rows):
            return 0, 0
        changed = int(rows[0]), int(rows[-1]) + 1
        fits = self._bands and self._height(len(plane), changed) is not None
        self._fitting = self._fitting + 1 if fits else 0
        return changed if fits and self._fitting >= _TRIALS else None

    def _before(self, planes: Samples, source: Samples | None, index: int) -> Samples | None:
        if index >= self.step:
            source, index = planes, index - self.step
        return None if source is None else np.asarray(source[index])

    def _patch(self, planes: Samples, plans: list[tuple[int, int] | None], whole: list[int], white: int) -> Samples:
        height, width = planes.shape[1] * self.engine.scale, planes.shape[2] * self.engine.scale
        result = np.empty((len(planes), height, width), planes.dtype)
        if whole:
            self.computed += len(whole)
            result[whole] = self.engine.upscale(planes[whole], white=white)
        for index, plan in enumerate(plans):
            if plan is None:
                continue
            before = self._before(result, self._result, index)
            assert before is not None  # a plan was made from the frame before
            result[index] = before
            if plan == (0, 0):
                self.reused += 1
            else:
                self._band(planes[index], result[index], plan, white)
        return result

    def _band(self, plane: Samples, result: Samples, changed: tuple[int, int], white: int) -> None:
        """Compute the band around the changed rows into `result`, which holds the frame before."""
        rows = len(plane)
        height = self._height(rows, changed)
        if height is None or not self._bands:  # bands were given up within this batch
            result[:] = self.engine.upscale(plane[None], white=white)[0]
            self.computed += 1
            return
        halo, scale = self._halo(), self.engine.scale
        first, last = max(0, changed[0] - halo), min(rows, changed[1] + halo)  # rows whose result may differ
        top = min(max(0, first - halo), rows - height)
        band = self.engine.upscale(plane[None, top : top + height], white=white)[0]
        result[first * scale : last * scale] = band[(first - top) * scale : (last - top) * scale]
        self.banded += 1
        if not self._checked:
            self._checked = True
            wanted = self.engine.upscale(plane[None], white=white)[0]
            if not np.array_equal(result, wanted):
                log.info("%s computes a part of a frame differently from the whole: no bands", self.engine.name)
                self._bands = False
                result[:] = wanted

    def _height(self, rows: int, changed: tuple[int, int]) -> int | None:
        """The smallest band that holds the changed rows and both halos."""
        halo = self._halo()
        top, bottom = max(0, changed[0] - 2 * halo), min(rows, changed[1] + 2 * halo)
        bands = (-(-rows // part) for part in _PARTS if rows >= _LOWEST)
        return next((height for height in bands if height >= bottom - top), None)

    def _halo(self) -> int:
        """Low-resolution rows that a change reaches: a second pass of 2x sees half as far."""
        return HALO if self.engine.scale == 2 else HALO + -(-HALO // 2)
