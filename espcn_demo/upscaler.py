"""The one contract of everything that enlarges luma, and what can be built from it.

A backend is an Upscaler; so are a chain of two, the average over eight symmetries, and a row of engines that take
over from one another. Pictures, video and the page ask `open_upscaler` and know no more than the contract.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)

Codes = NDArray[np.unsignedinteger[Any]]


class Upscaler(Protocol):
    """Enlarges luma by a whole number."""

    @property
    def name(self) -> str:
        """Short, with the precision: "openvino bf16"."""

    @property
    def reason(self) -> str:
        """Why it was chosen, one sentence."""

    @property
    def scale(self) -> int:
        """How much each axis grows."""

    @property
    def refusals(self) -> tuple[str, ...]:
        """What was tried before and why it does not run here."""

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, scale*H, scale*W) of the same dtype.

        `white` is the code value of full intensity: by default 255 for uint8 and 65535 for uint16; 1023 for planes
        of 10-bit video.
        """


class Chain:
    """Upscalers one after the other: two passes of 2x make 4x."""

    def __init__(self, passes: Sequence[Upscaler]) -> None:
        self.passes = tuple(passes)
        self.name = self.passes[0].name
        self.reason = self.passes[0].reason
        self.refusals = self.passes[0].refusals
        self.scale = int(np.prod([one.scale for one in self.passes]))

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """Enlarge by each pass in turn."""
        for one in self.passes:
            frames = one.upscale(frames, white=white)
        return frames


class SelfEnsemble:
    """The average over the eight flips and rotations of the square: 0.1 to 0.2 dB for eight times the work."""

    def __init__(self, inner: Upscaler) -> None:
        self.inner = inner
        self.name, self.scale, self.refusals = f"{inner.name}, 8-fold", inner.scale, inner.refusals
        self.reason = f"{inner.reason}; averaged over 8 flips and rotations"

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """Enlarge eight times and average; the mean is rounded half up."""
        count, height, width = frames.shape
        total = np.zeros((count, height * self.scale, width * self.scale), np.uint32)
        for symmetry in range(8):
            turned = np.ascontiguousarray(_turn(frames, symmetry))
            total += _turn_back(self.inner.upscale(turned, white=white), symmetry)
        return ((total + 4) // 8).astype(frames.dtype)


class HandOver:
    """Engines in order of preference: one that fails in the middle hands its frames to the next and says so."""

    def __init__(
        self, engines: Sequence[Callable[[], Upscaler]], *, first: Upscaler, refusals: Sequence[str] = ()
    ) -> None:
        self._waiting = list(engines)
        self._current = first
        self._refused = tuple(refusals)
        self._lost: list[str] = []
        self._lock = threading.Lock()

    @property
    def name(self) -> str:
        """The engine that serves now."""
        return self._current.name

    @property
    def reason(self) -> str:
        """Why it serves now."""
        return self._current.reason if not self._lost else f"{self._current.reason} (after {'; '.join(self._lost)})"

    @property
    def scale(self) -> int:
        """That of the engines: 2."""
        return self._current.scale

    @property
    def refusals(self) -> tuple[str, ...]:
        """Engines that did not start, and those that failed since."""
        return (*self._refused, *self._lost)

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """Enlarge with the engine that serves; when it fails, with the next one, from the same frames."""
        default_white(frames, white)  # a wrong dtype is the caller's mistake, not the engine's
        while True:
            engine = self._current
            try:
                return engine.upscale(frames, white=white)
            except Exception as error:
                self._replace(engine, error)

    def _replace(self, failed: Upscaler, error: Exception) -> None:
        """Put the next engine that opens in the place of `failed`, or raise `error` when none is left."""
        with self._lock:
            if self._current is not failed:
                return  # another thread has done it
            self._lost.append(f"{failed.name} failed: {_first_line(error)}")
            while self._waiting:
                try:
                    self._current = self._waiting.pop(0)()
                except Exception as refusal:
                    self._lost.append(_first_line(refusal))
                    continue
                log.warning("%s; going on with %s", "; ".join(self._lost), self._current.name)
                return
            raise error


def open_upscaler(
    *,
    scale: int = 2,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
    quality: str = "fast",
) -> Upscaler:
    """The engine for the given weights: 2x, or 4x as a chain of two passes; quality "best" averages 8 symmetries.

    Raises InputError (or its WeightsError, EngineError) when the options, weights or backend cannot be used.
    """
    from espcn_demo.backends import choose
    from espcn_demo.errors import InputError
    from espcn_demo.weights import resolve, second_pass

    if scale not in (2, 4):
        raise InputError(f"scale {scale} is not offered: use 2 or 4.")
    if quality not in ("fast", "best"):
        raise InputError(f"quality {quality!r} is not offered: use fast or best.")
    first = resolve(weights)
    passes = [choose(backend, weights=first, precision=precision)]
    if scale == 4:
        passes.append(choose(backend, weights=second_pass(first), precision=precision))
    if quality == "best":
        passes = [SelfEnsemble(one) for one in passes]
    return passes[0] if scale == 2 else Chain(passes)


def default_white(frames: Codes, white: int | None = None) -> int:
    """The code value of full intensity for these frames; raises TypeError for dtypes outside the contract."""
    if frames.dtype == np.uint8:
        return white or 255
    if frames.dtype == np.uint16:
        return white or 65535
    raise TypeError(f"frames must be uint8 or uint16, not {frames.dtype}")


def _turn(frames: Codes, symmetry: int) -> Codes:
    if symmetry & 1:
        frames = frames[:, :, ::-1]
    if symmetry & 2:
        frames = frames[:, ::-1]
    return frames.transpose(0, 2, 1) if symmetry & 4 else frames


def _turn_back(frames: Codes, symmetry: int) -> Codes:
    if symmetry & 4:
        frames = frames.transpose(0, 2, 1)
    return _turn(frames, symmetry & 3)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
