"""Speed of every engine that runs here, against plain torch and against this machine's own limit.

The limit is the rate of one large matrix product in the engine's precision, measured in the same run on the same
cores: what the arithmetic of the four convolutions could reach if moving the data cost nothing.
"""

from __future__ import annotations

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from espcn_demo.backends.machine import granted_cores, has_bfloat16, processor
from espcn_demo.dimensions import FLOP_PER_PIXEL
from espcn_demo.errors import EngineError
from espcn_demo.upscaler import Codes
from espcn_demo.weights import Weights, resolve

if TYPE_CHECKING:
    import torch

log = logging.getLogger(__name__)

SIZES = ((448, 336), (640, 360), (1280, 720), (1920, 1080))  # width, height in pixels
REFERENCE = "torch eager, as written"
CANDIDATES = (
    ("tensorrt", "float16"), ("cuda", "float16"), ("openvino", "bf16"), ("openvino", "int8"), ("openvino", "float32"),
    ("torch", "bf16"), ("torch", "float32"),
)  # fmt: skip
_MATRIX = 2048  # rows and columns of the product that measures the limit


@dataclass(frozen=True)
class Timing:
    """One engine at one size; seconds for a luma frame from codes to codes."""

    engine: str
    width: int
    height: int
    median: float
    fastest: float
    slowest: float
    runs: int
    gflops: float  # 1e9 operations a second
    share: float  # of the matrix product's rate in `limit` precision
    limit: str
    times_reference: float


@dataclass(frozen=True)
class Bench:
    """All timings, the machine, and why other engines did not run."""

    machine: str
    cores: int
    versions: dict[str, str]
    limits: dict[str, float]  # GFLOP/s of a matrix product by precision
    timings: tuple[Timing, ...]
    refusals: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """A table for a terminal."""
        lines = [f"{'engine':25}{'size':>11}{'ms':>9}{'fastest-slowest':>17}{'GFLOP/s':>9}{'limit':>7}{'times':>7}"]
        for one in self.timings:
            spread = f"{1e3 * one.fastest:.1f}-{1e3 * one.slowest:.1f}"
            size = f"{one.width}x{one.height}"
            lines.append(
                f"{one.engine:25}{size:>11}{1e3 * one.median:>9.1f}{spread:>17}{one.gflops:>9.0f}"
                f"{one.share:>7.0%}{one.times_reference:>7.1f}"
            )
        return "\n".join([*lines, "", self._about(), *(f"not run: {reason}" for reason in self.refusals)])

    def markdown(self) -> str:
        """A row for each engine, a column for each size: median ms, GFLOP/s, share of the limit, times plain torch."""
        sizes = list(dict.fromkeys((one.width, one.height) for one in self.timings))
        lines = ["| engine | " + " | ".join(f"{w}x{h}" for w, h in sizes) + " |", "|---" * (len(sizes) + 1) + "|"]
        for engine in dict.fromkeys(one.engine for one in self.timings):
            cells = {(one.width, one.height): one for one in self.timings if one.engine == engine}
            lines.append(f"| {engine} | " + " | ".join(_cell(cells.get(size)) for size in sizes) + " |")
        return "\n".join([*lines, "", self._about(), *(f"\nNot run: {reason}." for reason in self.refusals)])

    def plot(self, path: Path) -> None:
        """Draw frames a second of every engine and size as bars; the file's ending gives its format."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        engines = list(dict.fromkeys(one.engine for one in self.timings))
        sizes = list(dict.fromkeys((one.width, one.height) for one in self.timings))
        figure = Figure(figsize=(9, 1.5 + 0.5 * len(engines)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        height = 0.8 / len(sizes)
        for offset, size in enumerate(sizes):
            rates = {one.engine: 1 / one.median for one in self.timings if (one.width, one.height) == size}
            places = [engines.index(engine) + height * offset for engine in rates]
            axes.barh(places, list(rates.values()), height, label=f"{size[0]}x{size[1]}")
        axes.set_yticks([index + 0.4 - height / 2 for index in range(len(engines))], engines)
        axes.invert_yaxis()
        axes.set(xscale="log", xlabel="luma frames a second", title=f"{self.machine}, {self.cores} cores")
        axes.legend(title="low resolution")
        figure.savefig(path, dpi=150)

    def _about(self) -> str:
        limits = ", ".join(f"{name} {rate:.0f} GFLOP/s" for name, rate in self.limits.items())
        versions = ", ".join(f"{name} {version}" for name, version in self.versions.items())
        return f"{self.machine}, {self.cores} cores; matrix products: {limits}; {versions}."


def run(*, sizes: Sequence[tuple[int, int]] | None = None, seconds: float = 1.0, weights: str | None = None) -> Bench:
    """Time every engine at every size (width, height), `seconds` for each figure after a warm-up."""
    found = resolve(weights)
    limits = _limits(seconds)
    engines, refusals = _open(found)
    reference = _reference(found)
    timings = []
    for width, height in sizes or SIZES:
        frame = _frame(width, height)
        plain = _measure(partial(reference, frame), seconds)
        timings.append(_timing(REFERENCE, frame, plain, plain, limits, "float32"))
        for name, limit, upscale in engines:
            log.info("timing %s at %dx%d", name, width, height)
            try:
                measured = _measure(partial(upscale, frame), seconds)
            except Exception as error:
                # One engine that fails at one size must not take the other figures along; the reason is shown.
                refusals.append(f"{name} at {width}x{height}: {error}")
                continue
            timings.append(_timing(name, frame, measured, plain, limits, limit))
    return Bench(processor(), granted_cores(), _versions(), limits, tuple(timings), tuple(refusals))


def _open(weights: Weights) -> tuple[list[tuple[str, str, Callable[[Codes], Codes]]], list[str]]:
    from espcn_demo.backends import open_backend

    engines: list[tuple[str, str, Callable[[Codes], Codes]]] = []
    refusals: list[str] = []
    for backend, precision in CANDIDATES:
        if precision == "bf16" and not has_bfloat16():
            refusals.append(f"{backend} bf16: the CPU does not compute bfloat16")
            continue
        try:
            engine = open_backend(backend, weights, precision)
        except EngineError as error:
            refusals.append(str(error))
            continue
        limit = {"float32": "float32", "float16": "float16"}.get(precision, "bf16" if has_bfloat16() else "float32")
        engines.append((engine.name, limit, engine.upscale))
    return engines, refusals


def _reference(weights: Weights) -> Callable[[Codes], Codes]:
    """The module as it is written, on the CPU: float32, channels first."""
    import torch

    from espcn_demo.model import CodeValues
    from espcn_demo.weights import load_network

    graph = CodeValues(load_network(weights))
    torch.set_num_threads(granted_cores())

    def upscale(frames: Codes) -> Codes:
        with torch.inference_mode():
            enlarged: Codes = graph(torch.from_numpy(frames)[:, None]).numpy()
        return enlarged

    return upscale


def _measure(call: Callable[[], object], seconds: float) -> list[float]:
    """Durations of single calls for about `seconds`, at least two; the first call is not counted."""
    call()
    durations: list[float] = []
    while len(durations) < 2 or sum(durations) < seconds:
        start = time.perf_counter()
        call()
        durations.append(time.perf_counter() - start)
    return durations


def _timing(
    engine: str,
    frame: Codes,
    durations: list[float],
    plain: list[float],
    limits: dict[str, float],
    limit: str,
) -> Timing:
    _, height, width = frame.shape
    median = statistics.median(durations)
    gflops = width * height * FLOP_PER_PIXEL / median / 1e9
    ratio = statistics.median(plain) / median
    share = gflops / limits[limit]
    return Timing(
        engine, width, height, median, min(durations), max(durations), len(durations), gflops, share, limit, ratio
    )


def _limits(seconds: float) -> dict[str, float]:
    """GFLOP/s of a square matrix product for each precision: the fastest of some runs."""
    import torch

    places = {"float32": ("cpu", torch.float32)}
    if has_bfloat16():
        places["bf16"] = ("cpu", torch.bfloat16)
    if torch.cuda.is_available():
        places["float16"] = ("cuda", torch.float16)
    torch.set_num_threads(granted_cores())
    return {name: _matrix_rate(device, dtype, seconds) for name, (device, dtype) in places.items()}


def _matrix_rate(device: str, dtype: torch.dtype, seconds: float) -> float:
    import torch

    side = _MATRIX if device == "cpu" else 4 * _MATRIX
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))

    def product() -> None:
        left @ right
        if device == "cuda":
            torch.cuda.synchronize()

    return 2 * side**3 / min(_measure(product, seconds)) / 1e9


def _frame(width: int, height: int) -> Codes:
    """A photograph repeated to the size, (1, H, W) uint8."""
    from skimage.data import camera

    picture = camera()
    repeats = (-(-height // picture.shape[0]), -(-width // picture.shape[1]))
    return np.ascontiguousarray(np.tile(picture, repeats)[None, :height, :width])


def _versions() -> dict[str, str]:
    from importlib import metadata

    found = {}
    for name in ("torch", "openvino", "torch_tensorrt"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _cell(timing: Timing | None) -> str:
    if timing is None:
        return ""
    return f"{1e3 * timing.median:.1f} ms, {timing.gflops:.0f}, {timing.share:.0%}, {timing.times_reference:.1f}x"
