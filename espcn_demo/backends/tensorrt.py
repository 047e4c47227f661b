"""The TensorRT backend, through Torch-TensorRT: engines are built in the background while CUDA serves.

A size that comes again gets an engine of its own; until then, and for pictures, one engine with free height and width
serves. An engine is used only if a probe frame agrees with float32 torch. Whatever fails, CUDA goes on and the log
says why.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import torch

from espcn_demo.backends import cache, cuda
from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.export import PICTURES, UNIT, WHITE, Profile, exactly
from espcn_demo.backends.fastest import Compute
from espcn_demo.backends.lanes import Pipeline
from espcn_demo.backends.layers import read_layers
from espcn_demo.backends.toolkit import Compiled, Toolkit
from espcn_demo.dimensions import SCALE
from espcn_demo.errors import EngineError
from espcn_demo.upscaler import Codes, Upscaler, default_white
from espcn_demo.weights import Weights

log = logging.getLogger(__name__)

_BUILDING = threading.Lock()  # torch.export works in one thread of a process at a time
_COMES_AGAIN = 3  # calls with one size after which it gets an engine of its own
_TOLERANCE, _SHARE = 2, 1e-3  # codes on the probe, and the share of its pixels that may differ by more than one


class TensorRT:
    """TensorRT where an engine is ready, `standby` until then."""

    scale = SCALE

    def __init__(self, weights: Weights, standby: Upscaler, toolkit: Toolkit, *, device: str = "cuda") -> None:
        self.refusals: tuple[str, ...] = ()
        self.failures: list[str] = []
        self._weights, self._standby, self._toolkit, self._device = weights, standby, toolkit, device
        self._layers = read_layers(weights.path)
        self._calls: Counter[tuple[int, int]] = Counter()
        self._asked: set[Profile] = set()
        self._modules: dict[Profile, Compiled] = {}
        self._pipelines: dict[tuple[int, int], tuple[Profile, Pipeline]] = {}
        self._state, self._serving = threading.Lock(), threading.Lock()
        self._last: str | None = None

    @property
    def name(self) -> str:
        """The engine that computed the last frames."""
        return self._last or f"{self._standby.name}, tensorrt being built"

    @property
    def reason(self) -> str:
        """Why, and what failed so far."""
        return "; ".join([f"tensorrt {self._toolkit.version}: an NVIDIA GPU and Torch-TensorRT", *self.failures])

    def upscale(self, frames: Codes, *, white: int | None = None) -> Codes:
        """(N, H, W) uint8 or uint16 -> (N, 2H, 2W); more than 8 bits are left to the standby."""
        white = default_white(frames, white)
        count, height, width = frames.shape
        if count and frames.dtype == np.uint8 and white == WHITE:
            profile = self._profile(height, width)
            if profile is not None:
                result = np.empty((count, SCALE * height, SCALE * width), frames.dtype)
                try:
                    self._run(profile, np.ascontiguousarray(frames), result)
                except Exception as error:
                    # Whatever happens inside an engine, the frames are still here and CUDA computes them.
                    self._give_up(profile, f"failed: {_first_line(error)}")
                else:
                    self._last = "tensorrt float16"
                    return result
        self._last = self._standby.name
        return self._standby.upscale(frames, white=white)

    def prepare(self, profile: Profile) -> None:
        """Build or load the engine for `profile` and check it, in this thread; raises EngineError."""
        with _BUILDING:
            module = self._toolkit.obtain(self._weights, self._layers, profile)
            worst, share = self._probe(module, profile)
            if worst > _TOLERANCE or share > _SHARE:
                cache.discard(self.path(profile))
                raise EngineError(f"tensorrt: the engine for {profile} differs from float32 by {worst} codes")
        log.info("tensorrt: %s is ready, at most %d codes from float32", profile, worst)
        with self._state:
            self._modules[profile] = module

    def path(self, profile: Profile) -> Path:
        """Where the engine for `profile` is kept."""
        return cache.folder() / self._toolkit.key(self._weights, profile).file_name

    def wait(self) -> None:
        """Until no build is under way."""
        for thread in threading.enumerate():
            if thread.name.startswith(f"tensorrt-{id(self)}"):
                thread.join()

    def _profile(self, height: int, width: int) -> Profile | None:
        """The best engine that is ready; starts building what this size deserves."""
        self._calls[height, width] += 1
        own = exactly(height, width)
        if self._calls[height, width] >= _COMES_AGAIN:
            self._start(own)
        elif PICTURES.holds(height, width):
            self._start(PICTURES)
        with self._state:
            if own in self._modules:
                return own
            return PICTURES if PICTURES in self._modules and PICTURES.holds(height, width) else None

    def _start(self, profile: Profile) -> None:
        with self._state:
            if profile in self._asked:
                return
            self._asked.add(profile)
        name = f"tensorrt-{id(self)}-{profile}"
        threading.Thread(target=self._try, args=(profile,), name=name, daemon=True).start()

    def _try(self, profile: Profile) -> None:
        try:
            self.prepare(profile)
        except Exception as error:
            # Builders and drivers fail in many ways; CUDA goes on.
            self._give_up(profile, _first_line(error))

    def _give_up(self, profile: Profile, why: str) -> None:
        with self._state:
            self._modules.pop(profile, None)
            self._asked.add(profile)
            self.failures.append(f"{profile}: {why}")
        log.warning("tensorrt: %s: %s; %s goes on", profile, why, self._standby.name)

    def _run(self, profile: Profile, frames: Codes, result: Codes) -> None:
        size = frames.shape[1:]
        with self._serving, torch.inference_mode():
            if self._pipelines.get(size, (None,))[0] != profile:
                # Exclusive: an engine has one execution context, and records its own CUDA graph.
                compute = self._compute(self._modules[profile])
                pipeline = Pipeline(compute, (1, *size), frames.dtype, device=self._device, exclusive=True)
                self._pipelines = {size: (profile, pipeline)}
            self._pipelines[size][1].run(frames, result)

    def _compute(self, module: Compiled) -> Compute:
        def compute(codes: torch.Tensor) -> torch.Tensor:
            enlarged: torch.Tensor = module(codes.to(self._toolkit.dtype) * UNIT)
            return enlarged.to(torch.uint8)

        return compute

    def _probe(self, module: Compiled, profile: Profile) -> tuple[int, float]:
        """Largest difference from float32 torch on a frame with noise, edges and gradients, and the share above 1."""
        frame = torch.from_numpy(probe_frame(*profile.expected))[None, None].to(self._device)
        exact = CodeNetwork(self._layers, white=WHITE, codes=torch.uint8, compute=torch.float32).to(self._device)
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            difference = (self._compute(module)(frame).int() - exact(frame).int()).abs()
        return int(difference.max()), float((difference > 1).float().mean())


def probe_frame(height: int, width: int) -> Codes:
    """A frame that a wrong engine cannot pass: a gradient, a checkerboard and noise, (H, W) uint8."""
    y, x = np.indices((height, width))
    frame = (x * 255 // max(1, width - 1)).astype(np.uint8)
    frame[(y + x) % 16 < 8] //= 2
    noise = np.random.default_rng(0).integers(0, 256, (height, width)).astype(np.uint8)
    return np.where(y * 3 > height * 2, noise, frame)


def build(weights: Weights, *, width: int, height: int) -> Path:
    """Build the engine for one frame size and check it; returns its file. Raises EngineError where it cannot be."""
    engine = open_engine(weights)
    profile = exactly(height, width)
    engine.prepare(profile)
    return engine.path(profile)


def open_engine(weights: Weights, precision: str | None = None) -> TensorRT:
    """Open TensorRT in float16; EngineError without an NVIDIA GPU or Torch-TensorRT."""
    if reason := cuda.why_not():
        raise EngineError(f"tensorrt: {reason}")
    if precision not in (None, "float16"):
        raise EngineError(f"tensorrt: no {precision}, use float16")
    return TensorRT(weights, cuda.open_engine(weights), Toolkit.on_gpu())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
