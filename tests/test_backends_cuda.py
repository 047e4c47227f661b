"""The CUDA backend's logic on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

import importlib.util
import logging
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from espcn_demo.backends import cuda, fastest, open_backend
from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.cuda import CUDA
from espcn_demo.backends.lanes import Pipeline
from espcn_demo.backends.layers import read_layers
from espcn_demo.errors import EngineError


@pytest.fixture(scope="module")
def clip() -> np.ndarray:
    from skimage.data import camera

    return np.stack([camera()[100 + 4 * i : 152 + 4 * i, 100:164] for i in range(5)])


@pytest.fixture(scope="module")
def exact(weights):
    return open_backend("torch", weights, "float32")


def test_refused_without_a_gpu(weights):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(EngineError, match=r"cuda: (this torch is built without CUDA|no NVIDIA GPU)"):
        open_backend("cuda", weights)


@pytest.mark.parametrize("pixels", [2**20, 2 * 52 * 64, 52 * 64 // 2, 1000])
def test_batches_and_strips_give_the_same_frames(pixels, clip, weights, exact):
    engine = CUDA(weights, "float32", "for the test", device="cpu", pixels=pixels)
    assert np.array_equal(engine.upscale(clip), exact.upscale(clip))


def test_deep_samples_travel_as_int16(clip, weights, exact):
    frames = clip[:2].astype(np.uint16) * 257
    engine = CUDA(weights, "float16", "for the test", device="cpu")
    assert np.array_equal(engine.upscale(frames), exact.upscale(frames))
    tenth = clip[:1].astype(np.uint16) * 4
    assert np.array_equal(engine.upscale(tenth, white=1023), exact.upscale(tenth, white=1023))


def test_out_of_memory_halves_the_call_and_goes_on(clip, weights, exact, monkeypatch, caplog):
    allowed = 52 * 64 // 2 + 10 * 64
    real = Pipeline.run

    def small(self, frames, result):
        if self.batch * frames.shape[1] * frames.shape[2] > allowed:
            raise torch.OutOfMemoryError("CUDA out of memory")
        real(self, frames, result)

    monkeypatch.setattr(Pipeline, "run", small)
    monkeypatch.setattr(cuda, "_SMALLEST", 256)
    engine = CUDA(weights, "float32", "for the test", device="cpu")
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(engine.upscale(clip), exact.upscale(clip))
    assert "going on with" in caplog.text
    allowed = 0
    with pytest.raises(EngineError, match="too little free memory"):
        engine.upscale(clip)


def test_a_way_that_fails_at_another_size_gives_way_to_torch(clip, weights, exact, monkeypatch, caplog):
    engine = CUDA(weights, "float32", "for the test", device="cpu")
    choose = engine._fastest

    def failing(codes):
        raise RuntimeError("invalid configuration")

    monkeypatch.setattr(engine, "_fastest", lambda *a: (choose(*a)[0], failing))
    real = Pipeline.__init__

    def warmed_up(self, compute, shape, *rest, **options):
        compute(torch.zeros((shape[0], 1, *shape[1:]), dtype=torch.uint8))  # as capturing a graph does
        real(self, compute, shape, *rest, **options)

    monkeypatch.setattr(Pipeline, "__init__", warmed_up)
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(engine.upscale(clip), exact.upscale(clip))
    assert "going on with torch's own kernels: invalid configuration" in caplog.text
    assert np.array_equal(engine.upscale(clip[:, :40]), exact.upscale(clip[:, :40]))


def test_ways_that_fail_or_differ_are_left_out_and_the_fastest_is_taken(weights, monkeypatch):
    plain = CodeNetwork(read_layers(weights.path), white=255, codes=torch.uint8, compute=torch.float32)
    example = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)
    times = {"plain": 3.0, "slow": 4.0, "fast": 2.0, "faster": 1.0}

    class Way:
        def __init__(self, name, off=0):
            self.name, self.off = name, off

        def __call__(self, codes):
            return plain(codes) + self.off

    def broken():
        raise RuntimeError("PTX error\nand more")

    monkeypatch.setattr(fastest, "milliseconds", lambda way, _: times[getattr(way, "name", "plain")])
    chosen, measured = fastest.fastest(plain, {"slow": lambda: Way("slow")}, example)
    assert chosen is plain
    assert measured == "plain 3.000 ms a call, slow 4.000"
    others = {
        "broken": broken,
        "wrong": lambda: Way("faster", off=9),
        "fast": lambda: Way("fast"),
        "slow": lambda: Way("slow"),
    }
    chosen, measured = fastest.fastest(plain, others, example)
    assert chosen.name == "fast"
    assert "broken does not run: PTX error," in measured
    assert "wrong differs by 9 codes" in measured


SURROUNDED = """
import sys
import numpy as np, torch
from skimage.data import camera
from torch.nn import functional as F
from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.layered import Layered
from espcn_demo.backends.layers import read_layers
from espcn_demo.weights import resolve

def convolve(features, kernel, bias, stride, padding, dilation, groups):
    assert features.is_contiguous(memory_format=torch.channels_last)
    assert features.shape[1] % 8 == 0 and kernel.shape[0] % 8 == 0
    return F.conv2d(features, kernel, bias, stride, padding, dilation, groups).relu_()

torch.cudnn_convolution_relu = convolve
layers = read_layers(resolve("espcn_x2").path)
layered = Layered(layers, 255, torch.device("cpu"))
exact = CodeNetwork(layers, white=255, codes=torch.uint8, compute=torch.float32)
noise = np.random.default_rng(0).integers(0, 256, (2, 5, 7)).astype(np.uint8)
for frames in (noise, camera()[None, 100:120, 200:237], np.full((1, 1, 1), 255, np.uint8)):
    codes = torch.from_numpy(frames.copy())[:, None]
    difference = (layered(codes).int() - exact(codes).int()).abs()
    assert int(difference.max()) <= 1 and float((difference > 0).float().mean()) < 0.05, frames.shape
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_convolutions_in_eights_equal_the_network_in_triton_s_interpreter():
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    subprocess.run([sys.executable, "-c", SURROUNDED], env=environment, check=True, timeout=250)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu(clip, weights, exact):
    engine = open_backend("cuda", weights)
    difference = np.abs(engine.upscale(clip).astype(int) - exact.upscale(clip))
    assert difference.max() <= 1
    deep = clip.astype(np.uint16) * 257
    assert np.abs(engine.upscale(deep).astype(int) - exact.upscale(deep)).max() <= 1
