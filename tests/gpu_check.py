"""Check the GPU engines on real hardware and time them against the hardware's bounds.

python tests/gpu_check.py                     needs torch with CUDA, numpy and safetensors
python tests/gpu_check.py --size 1280x720 --no-compile

It builds nothing elsewhere and needs no other file than this checkout. Its TensorRT part runs where torch-tensorrt is
installed. It prints Markdown, to be kept with the device's name in train/RESULTS.md, and exits with 1 when an engine
differs from float32 torch by more than is allowed.
"""

from __future__ import annotations

import argparse
import datetime
import logging
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parent.parent))

from espcn_demo.backends import cache, cuda
from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.export import UNIT, exactly
from espcn_demo.backends.fastest import milliseconds
from espcn_demo.backends.fused import Fused
from espcn_demo.backends.layered import Layered
from espcn_demo.backends.layers import read_layers
from espcn_demo.backends.tensorrt import TensorRT, probe_frame
from espcn_demo.backends.toolkit import Toolkit
from espcn_demo.dimensions import FLOP_PER_PIXEL
from espcn_demo.errors import EngineError
from espcn_demo.model import CodeValues
from espcn_demo.weights import load_network, resolve

Compute = Callable[[Tensor], Tensor]
OWN = {"cuDNN in eights": Layered, "fused kernel": Fused}
DEVICE = "cuda"  # a test of this script runs it on the CPU
SIDE, BYTES = 8192, 2**30  # of the matrix products and the copy that measure what the hardware can do
BYTES_PER_PIXEL = 650  # of unfused traffic per low-resolution pixel in half precision


def main() -> int:
    """Run the checks and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--size", default="1920x1080", help="low-resolution frame, WIDTHxHEIGHT")
    parser.add_argument("--weights", help="weights to run (default: the bundled ones)")
    parser.add_argument("--no-compile", action="store_true", help="leave out torch.compile, which takes a minute")
    args = parser.parse_args()
    if reason := cuda.why_not():
        print(f"nothing can be checked here: {reason}", file=sys.stderr)
        return 2
    width, height = (int(side) for side in args.size.split("x"))
    logging.basicConfig(level=logging.INFO, format="%(message)s")  # which way CUDA takes, on stderr
    describe()
    bad = agreement(args.weights)
    speed(args.weights, height, width, compiled=not args.no_compile)
    throughput(args.weights, height, width)
    for line in bad:
        print(f"\nFAILED: {line}")
    return 1 if bad else 0


def describe() -> None:
    """Device, driver, versions, date."""
    import subprocess

    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        device = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        device = torch.cuda.get_device_name()
    print(f"{datetime.date.today()}: {device}, CUDA {torch.version.cuda}, torch {torch.__version__}, ", end="")
    print(f"Python {platform.python_version()}, Linux {platform.release()}\n")


def frames() -> dict[str, np.ndarray]:
    """Frames of every kind; pictures are made from smoothed noise, as no image library is needed here."""
    rng = np.random.default_rng(0)
    smooth = rng.normal(size=(300, 400))
    for axis in (0, 1):
        smooth = np.apply_along_axis(np.convolve, axis, smooth, np.hanning(9), "same")
    smooth = (255 * (smooth - smooth.min()) / np.ptp(smooth)).astype(np.uint8)
    board = (np.indices((48, 64)).sum(0) % 2 * 255).astype(np.uint8)
    return {
        "smooth": smooth, "steps": probe_frame(97, 131), "noise": rng.integers(0, 256, (90, 120)).astype(np.uint8),
        "binary": (rng.integers(0, 2, (90, 120)) * 255).astype(np.uint8), "checkerboard": board,
        "black": np.zeros((32, 48), np.uint8), "white": np.full((32, 48), 255, np.uint8),
        "1x1": smooth[:1, :1], "odd": smooth[:37, :19], "16 bit": smooth.astype(np.uint16) * 257,
    }  # fmt: skip


def agreement(weights: str | None) -> list[str]:
    """Print the differences of every engine from float32 torch on the CPU; returns what is out of bounds."""
    found, bad = resolve(weights), []
    network, layers = load_network(found), read_layers(found.path)
    engines = {f"cuda {precision}": cuda.open_engine(found, precision) for precision in ("float16", "bf16", "float32")}
    print("| engine | frame | largest difference, codes | pixels that differ |\n|---|---|---|---|")
    for name, frame in frames().items():
        white = 255 if frame.dtype == np.uint8 else 65535
        graph = CodeValues(network, white=white, dtype=torch.uint8 if white == 255 else torch.uint16)
        with torch.inference_mode():
            exact = graph(torch.from_numpy(frame.copy())[None, None])[0, 0].numpy().astype(np.int64)
        results = {key: engine.upscale(frame[None])[0].astype(np.int64) for key, engine in engines.items()}
        if white == 255:
            for key, way in OWN.items():
                results[key] = _own(key, way, layers, frame)
        for key, result in results.items():
            if result is None:
                continue
            difference = np.abs(result - exact)
            allowed = 2 if name in ("noise", "binary", "checkerboard", "steps") else 1
            print(f"| {key} | {name} | {difference.max()} | {(difference > 0).mean():.4%} |")
            if difference.max() > allowed:
                bad.append(f"{key} differs by {difference.max()} codes on {name}, allowed {allowed}")
    return bad


def _own(name: str, way, layers, frame: np.ndarray) -> np.ndarray | None:
    try:
        compute = way(layers, 255, torch.device(DEVICE))
        return compute(torch.from_numpy(frame.copy())[None, None].to(DEVICE))[0, 0].cpu().numpy().astype(np.int64)
    except Exception as error:
        print(f"| {name} | does not run: {(str(error) or repr(error)).splitlines()[0]} | | |")
        return None


def speed(weights: str | None, height: int, width: int, *, compiled: bool) -> None:
    """Print milliseconds of a luma frame on the device for every way to compute it, and their ratio to the bound."""
    found = resolve(weights)
    layers = read_layers(found.path)
    frame = torch.from_numpy(probe_frame(height, width))[None, None].to(DEVICE)
    plain = load_network(found).to(DEVICE)
    half = CodeNetwork(layers, white=255, codes=torch.uint8, compute=torch.float16).to(DEVICE)
    arithmetic, traffic = bounds(height * width)
    bound = max(arithmetic, traffic)
    print(f"\n{width}x{height} -> {2 * width}x{2 * height}, one luma frame, uint8 to uint8 on the device.")
    print(f"Bounds measured here: arithmetic {arithmetic:.3f} ms, unfused traffic {traffic:.3f} ms.\n")
    print("| way | ms | times the larger bound | frames a second |\n|---|---|---|---|")
    with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
        ways: dict[str, Callable[[], float]] = {
            "eager float32": lambda: eager(CodeValues(plain), frame),
            "eager float16, channels last": lambda: eager(half, frame),
            "CUDA graph float16": lambda: milliseconds(half, frame),
        }
        for name, way in OWN.items():
            ways[name] = lambda way=way: milliseconds(way(layers, 255, frame.device), frame)
        if compiled:
            ways["torch.compile of the plain module, float16"] = lambda: compile_plain(found, frame)
        ways["TensorRT float16"] = lambda: with_tensorrt(found, frame)
        for name, measure in ways.items():
            try:
                spent = measure()
            except Exception as error:
                # Each way may be missing on this machine; the table says why and goes on.
                print(f"| {name} | does not run: {(str(error) or repr(error)).splitlines()[0]} | | |")
                continue
            print(f"| {name} | {spent:.3f} | {spent / bound:.2f} | {1000 / spent:.0f} |")


def throughput(weights: str | None, height: int, width: int, count: int = 32) -> None:
    """Print frames a second of the whole engine, from and to the host's memory."""
    engine = cuda.open_engine(resolve(weights))
    frames = np.repeat(probe_frame(height, width)[None], count, axis=0)
    engine.upscale(frames)
    start = time.perf_counter()
    engine.upscale(frames)
    spent = time.perf_counter() - start
    print(f"\nThe engine with its copies, {count} frames: {1000 * spent / count:.3f} ms a frame.")


def eager(compute: Compute, frame: Tensor, runs: int = 20) -> float:
    """Mean milliseconds of calls one after the other, launches included."""
    for _ in range(5):
        compute(frame)
    start, stop = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    for _ in range(runs):
        compute(frame)
    stop.record()
    stop.synchronize()
    return start.elapsed_time(stop) / runs


def compile_plain(found, frame: Tensor) -> float:
    """The module as it is written, in half precision, compiled by torch with CUDA graphs."""
    module = torch.compile(load_network(found).to(DEVICE).half(), mode="reduce-overhead")

    def compute(codes: Tensor) -> Tensor:
        return (module(codes.half() * (1 / 255)).float() * 255).clamp(0, 255).round().to(torch.uint8)

    return eager(compute, frame)


def with_tensorrt(found, frame: Tensor) -> float:
    """Build in a folder of its own, check the probe frame, and time; EngineError without the package."""
    with tempfile.TemporaryDirectory() as folder:
        import os

        os.environ[cache.VARIABLE] = folder
        toolkit = Toolkit.on_gpu()
        profile = exactly(*frame.shape[2:])
        TensorRT(found, cuda.open_engine(found), toolkit).prepare(profile)
        module = toolkit.obtain(found, read_layers(found.path), profile)
        if not cache.entries():
            raise EngineError("the engine was not kept")
        return eager(lambda codes: module(codes.half() * UNIT).to(torch.uint8), frame)


def bounds(pixels: int) -> tuple[float, float]:
    """Milliseconds for the arithmetic at the measured matrix rate and for unfused traffic at the measured bandwidth."""
    left, right = (torch.randn(SIDE, SIDE, device=DEVICE, dtype=torch.float16) for _ in range(2))
    rate = 2 * SIDE**3 / eager(lambda _: left @ right, left)  # operations a millisecond
    source = torch.empty(BYTES, dtype=torch.uint8, device=DEVICE)
    target = torch.empty_like(source)
    bandwidth = 2 * source.numel() / eager(lambda _: target.copy_(source), source)  # bytes a millisecond
    return pixels * FLOP_PER_PIXEL / rate, pixels * BYTES_PER_PIXEL / bandwidth


if __name__ == "__main__":
    sys.exit(main())
