"""The GPU kernels without a GPU: the fused one run in a stand-in for Gluon, all compiled by the real Triton."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from espcn_demo.backends import fused
from espcn_demo.backends.codes import CodeNetwork
from espcn_demo.backends.layers import read_layers
from espcn_demo.backends.strips import PIXELS, VALID, divide
from espcn_demo.errors import EngineError
from tests import stand_in_gluon


@pytest.fixture
def machine(monkeypatch):
    """The stand-in, with the kernel imported on top of it."""
    for name in [name for name in sys.modules if name.split(".")[0] == "triton"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "espcn_demo.backends.fused_kernel", raising=False)
    machine = stand_in_gluon.install(lambda name, module: monkeypatch.setitem(sys.modules, name, module))
    yield machine
    sys.modules.pop("espcn_demo.backends.fused_kernel", None)


@pytest.fixture(scope="module")
def layers(weights):
    return read_layers(weights.path)


@pytest.mark.parametrize(
    ("shape", "processors"), [((1, 1, 1), 4), ((2, 3, 5), 2), ((1, 20, 37), 1), ((1, 40, 300), 7), ((2, 9, 122), 5)]
)
def test_the_kernel_equals_the_network(shape, processors, machine, layers):
    from skimage.data import camera

    kernel = fused.Fused(layers, 255, torch.device("cpu"), processors=processors)
    exact = CodeNetwork(layers, white=255, codes=torch.uint8, compute=torch.float32)
    count, height, width = shape
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    photograph = np.stack([camera()[100 : 100 + height, 50 * i : 50 * i + width] for i in range(count)])
    for frames, share in ((noise, 0.05), (photograph, 0.02), (np.full(shape, 255, np.uint8), 0.02)):
        codes = torch.from_numpy(frames.copy())[:, None]
        difference = (kernel(codes).int() - exact(codes).int()).abs()
        assert int(difference.max()) <= 1
        assert float((difference > 0).float().mean()) < share


def test_the_stand_in_notices_a_missing_barrier(machine, layers, monkeypatch):
    monkeypatch.setattr(stand_in_gluon.Buffer, "settle", lambda self: None)
    kernel = fused.Fused(layers, 255, torch.device("cpu"), processors=1)
    with pytest.raises(RuntimeError, match="without a barrier"):
        kernel(torch.zeros((1, 1, 4, 4), dtype=torch.uint8))


def test_the_stand_in_notices_a_place_outside(machine, layers, monkeypatch):
    monkeypatch.setattr(fused, "_BELOW", 1)
    kernel = fused.Fused(layers, 255, torch.device("cpu"), processors=1)
    with pytest.raises(IndexError, match="places"):
        kernel(torch.zeros((1, 1, 4, 4), dtype=torch.uint8))


@pytest.mark.parametrize("processors", [1, 58, 132])
@pytest.mark.parametrize(("count", "height", "width"), [(1, 1080, 1920), (8, 336, 448), (1, 1, 1), (3, 17, 123)])
def test_a_division_covers_each_pixel_once(count, height, width, processors):
    strips = divide(count, height, width, processors)
    assert strips.pitch % 2 == 0
    assert strips.pitch <= VALID
    assert (strips.across - 1) * strips.pitch < width <= strips.across * strips.pitch
    assert (strips.down - 1) * strips.rows < height <= strips.down * strips.rows
    assert strips.stride % 16 == 0
    assert strips.stride >= (strips.across - 1) * strips.pitch + PIXELS + 6


def test_a_full_hd_frame_costs_little_more_than_its_products():
    strips = divide(1, 1080, 1920, 132)
    assert 120 <= strips.across * strips.down <= 132
    assert strips.across * strips.down * (strips.rows + 9) * PIXELS < 1.2 * 1080 * 1920


def test_other_gpus_are_refused_with_the_reason(layers, monkeypatch):
    ada = SimpleNamespace(major=8, multi_processor_count=58)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: ada)
    with pytest.raises(EngineError, match="for Hopper GPUs, compute capability 9, not 8"):
        fused.Fused(layers, 255, torch.device("cpu"))


COMPILE = """
import json, pathlib, subprocess, sys, tempfile
import triton
import triton.backends.nvidia as nvidia
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from triton.experimental.gluon._runtime import GluonASTSource
from espcn_demo.backends.ends import begin, end
from espcn_demo.backends.fused_kernel import network

pointers = {"codes": "*u8", "output": "*u8", "bias": "*fp32"}
for kernel, constants in ((begin, {"UNIT": 1 / 256, "BLOCK": 1024}), (end, {"WHITE": 255.0, "BLOCK": 1024})):
    names = kernel.arg_names
    types = {name: "i32" if name in ("height", "width", "count") else pointers.get(name, "*fp16") for name in names}
    source = ASTSource(kernel, types | dict.fromkeys(constants, "constexpr"),
                       {(names.index(name),): value for name, value in constants.items()})
    for capability in (75, 80, 89, 90, 100):
        triton.compile(source, target=GPUTarget("cuda", capability, 32))

names = network.arg_names
wholes = set(names[names.index("height") : names.index("WHITE")])
types = {name: "i32" if name in wholes else "*fp32" if name in ("b1", "b2", "b3", "b4") else "*fp16" for name in names}
types |= {"codes": "*u8", "output": "*u8", "WHITE": "constexpr"}
aligned = [name for name in names if types[name].startswith("*")] + ["stride", "plane"]
source = GluonASTSource(
    network, types, {(names.index("WHITE"),): 255.0},
    {(names.index(name),): [["tt.divisibility", 16]] for name in aligned},
)
kernel = triton.compile(source, target=GPUTarget("cuda", 90, 32), options={"num_warps": 8})
with tempfile.TemporaryDirectory() as folder:
    ptx = pathlib.Path(folder, "kernel.ptx")
    ptx.write_text(kernel.asm["ptx"])
    tool = pathlib.Path(nvidia.__file__).parent / "bin" / "ptxas"
    command = [tool, "-v", "--gpu-name=sm_90a", ptx, "-o", pathlib.Path(folder, "kernel.cubin")]
    report = subprocess.run(command, capture_output=True, text=True, check=True).stderr
products = kernel.asm["ptx"].count("wgmma.mma_async")
print(json.dumps({"shared": kernel.metadata.shared, "products": products, "report": report}))
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed")
def test_triton_compiles_the_kernels_for_real_gpus(tmp_path):
    environment = {**os.environ, "TRITON_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", COMPILE]
    printed = subprocess.run(command, env=environment, check=True, timeout=250, capture_output=True, text=True).stdout
    found = json.loads(printed.splitlines()[-1])
    assert found["products"] == 2 * (2 + 9 * 4 + 9 * 4 + 9 * 2)  # two steps; 16 inputs a product
    assert found["shared"] <= 227 * 1024
    assert "serialized" not in found["report"]  # products that wait for one another run at a third of the rate
    spilled = int(found["report"].split(" bytes spill loads")[0].split()[-1])
    assert spilled <= 64
