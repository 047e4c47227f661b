"""The script for real GPUs, run on the CPU: minutes on a GPU are few, and a slip in it would waste them."""

from __future__ import annotations

import time

import numpy as np
import torch

from espcn_demo.backends import cuda
from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.cuda import CUDA
from tests import gpu_check


class Clock:
    """As `torch.cuda.Event`."""

    def __init__(self, enable_timing):
        self.time = 0.0

    def record(self):
        self.time = time.perf_counter()

    def synchronize(self):
        pass

    def elapsed_time(self, other):
        return 1000 * max(1e-6, other.time - self.time)


class Way:
    """In place of the kernels that need a GPU; `off` codes wrong."""

    off = 0

    def __init__(self, layers, white, device):
        self.network = CodeNetwork(layers, white=white, codes=torch.uint8, compute=torch.float32)

    def __call__(self, codes):
        return (self.network(codes).int() + self.off).clamp(0, 255).to(torch.uint8)


class Broken:
    def __init__(self, *_):
        raise RuntimeError("no such instruction")


def on_the_cpu(monkeypatch):
    monkeypatch.setattr(cuda, "why_not", lambda: None)
    monkeypatch.setattr(cuda, "open_engine", lambda found, precision=None: CUDA(found, "float32", "", device="cpu"))
    monkeypatch.setattr(torch.cuda, "Event", Clock)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a stand-in")
    monkeypatch.setattr(gpu_check, "milliseconds", lambda way, frame: gpu_check.eager(way, frame, runs=1))
    for name, value in {"DEVICE": "cpu", "SIDE": 64, "BYTES": 2**16}.items():
        monkeypatch.setattr(gpu_check, name, value)
    monkeypatch.setattr("sys.argv", ["gpu_check.py", "--size", "64x48", "--no-compile"])
    frames = {"1x1": np.full((1, 1), 9, np.uint8), "16 bit": np.full((5, 7), 40000, np.uint16)}
    monkeypatch.setattr(gpu_check, "frames", lambda: frames)


def test_it_prints_both_tables_and_what_does_not_run(monkeypatch, capsys):
    on_the_cpu(monkeypatch)
    monkeypatch.setattr(gpu_check, "OWN", {"good": Way, "broken": Broken})
    assert gpu_check.main() == 0
    printed = capsys.readouterr().out
    assert "a stand-in, CUDA" in printed
    assert "| cuda float16 | 16 bit | 0 | 0.0000% |" in printed
    assert "| good | 1x1 | 0 | 0.0000% |" in printed
    assert "| broken | does not run: no such instruction | | |" in printed
    assert "64x48 -> 128x96, one luma frame" in printed
    rows = [line.split("|")[1].strip() for line in printed.splitlines() if line.count("|") == 5]
    assert "The engine with its copies, 32 frames: " in printed
    assert {"eager float32", "CUDA graph float16", "good", "TensorRT float16"} <= set(rows)


def test_a_way_that_differs_fails_the_check(monkeypatch, capsys):
    on_the_cpu(monkeypatch)
    monkeypatch.setattr(gpu_check, "OWN", {"wrong": type("Wrong", (Way,), {"off": 3})})
    assert gpu_check.main() == 1
    assert "FAILED: wrong differs by 3 codes on 1x1, allowed 1" in capsys.readouterr().out
