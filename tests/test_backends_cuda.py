"""The CUDA backend's logic on the CPU and, where there is one, on a GPU."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from espcn_demo.backends import cuda, fused, open_backend
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


def test_a_kernel_that_fails_or_differs_is_not_chosen(weights, monkeypatch):
    layers = read_layers(weights.path)
    plain = CodeNetwork(layers, white=255, codes=torch.uint8, compute=torch.float32)
    example = torch.zeros((1, 1, 4, 4), dtype=torch.uint8)

    class Candidate:
        def __init__(self, *_):
            pass

        def __call__(self, codes):
            return plain(codes) + 9

    monkeypatch.setattr(fused.importlib.util, "find_spec", lambda _: None)
    assert fused.choose(layers, 255, plain, example) == (plain, "cuDNN kernels: triton is not installed")
    monkeypatch.setattr(fused.importlib.util, "find_spec", lambda _: True)
    monkeypatch.setattr(fused, "Fused", Candidate)
    chosen, why = fused.choose(layers, 255, plain, example)
    assert chosen is plain
    assert "differs by 9 codes" in why
    monkeypatch.setattr(Candidate, "__call__", lambda self, codes: plain(codes))
    for times, wanted in ((iter([1.0, 2.0]), Candidate), (iter([2.0, 1.0]), CodeNetwork)):
        monkeypatch.setattr(fused, "milliseconds", lambda *_, times=times: next(times))
        assert isinstance(fused.choose(layers, 255, plain, example)[0], wanted)
    monkeypatch.setattr(Candidate, "__init__", lambda *_: 1 / 0)
    chosen, why = fused.choose(layers, 255, plain, example)
    assert chosen is plain
    assert "does not run: division by zero" in why


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_on_a_gpu(clip, weights, exact):
    engine = open_backend("cuda", weights)
    difference = np.abs(engine.upscale(clip).astype(int) - exact.upscale(clip))
    assert difference.max() <= 1
    deep = clip.astype(np.uint16) * 257
    assert np.abs(engine.upscale(deep).astype(int) - exact.upscale(deep)).max() <= 1
