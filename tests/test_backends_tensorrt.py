"""The TensorRT backend's logic with a stand-in that accepts the real package's calls and no others."""

from __future__ import annotations

import importlib.util
import json
import logging
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
import torch_tensorrt_signatures

from espcn_demo.backends import cache, open_backend, tensorrt
from espcn_demo.backends.export import PICTURES, UNIT, ExportNetwork, Profile, exactly, export
from espcn_demo.backends.layers import read_layers
from espcn_demo.backends.tensorrt import TensorRT
from espcn_demo.backends.toolkit import Toolkit
from espcn_demo.errors import EngineError

SIGNATURES = json.loads(Path(__file__).with_name("torch_tensorrt_signatures.json").read_text(encoding="utf-8"))
SIZE = (24, 32)


class StandIn:
    """Compiles to the exported module itself; every call is bound to the signatures of one version of the package."""

    def __init__(self, version: str) -> None:
        self.__version__, self.compiled, self.damage, self.error = version, [], 0.0, None
        self.dynamo = self.runtime = self

    def check(self, name: str, /, *positional, **keywords) -> None:
        known = SIGNATURES[self.__version__][name]
        assert len(positional) <= len(known["positional"]), name
        taken = known["positional"][: len(positional)]
        unknown = set(keywords) - set(known["positional"]) - set(known["keywords"])
        if name == "Input":  # takes only **keywords and looks these up
            unknown -= set(known["looked up"])
        assert not unknown, (name, unknown)
        assert not set(known["required"]) - set(taken) - set(keywords), name

    def Input(self, **keywords):  # noqa: N802 (the package's name)
        self.check("Input", **keywords)
        return keywords

    def compile(self, *positional, **keywords):
        self.check("dynamo.compile", *positional, **keywords)
        if self.error:
            raise self.error
        self.compiled.append(keywords["inputs"][0])
        return Damaged(positional[0].module(), self.damage)

    def save(self, module, path, **keywords):
        self.check("save", module, path, **keywords)
        torch.save(module.damage, path)

    def load(self, *positional):
        self.check("load", *positional)
        damage = torch.load(positional[0])
        return Loaded(damage)

    def enable_cudagraphs(self, *positional):
        self.check("runtime.enable_cudagraphs", *positional)
        raise RuntimeError("no CUDA here")


class Damaged:
    def __init__(self, module, damage: float) -> None:
        self.inner, self.damage = module, damage

    def __call__(self, luma):
        return self.inner(luma) + self.damage


class Loaded:
    def __init__(self, damage: float) -> None:
        self.damage = damage

    def module(self):
        return Damaged(ExportNetwork(LAYERS[0], torch.float32), self.damage)


LAYERS = []


@pytest.fixture
def engines(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path))


@pytest.fixture(params=list(SIGNATURES))
def stand_in(request, engines):
    return StandIn(request.param)


@pytest.fixture
def engine(stand_in, weights):
    LAYERS[:] = [read_layers(weights.path)]
    engine = make(stand_in, weights)
    yield engine
    engine.wait()


def make(stand_in, weights) -> TensorRT:
    toolkit = Toolkit(stand_in, gpu="Test GPU", sm="90", tensorrt="11.0", device="cpu", dtype=torch.float32)
    return TensorRT(weights, open_backend("torch", weights, "float32"), toolkit, device="cpu")


@pytest.fixture
def frames() -> np.ndarray:
    from skimage.data import camera

    return np.ascontiguousarray(camera()[None, 100 : 100 + SIZE[0], 100 : 100 + SIZE[1]])


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A profile for pictures whose probe is small."""
    profile = Profile((16, 16), (24, 40), (64, 64))
    monkeypatch.setattr(tensorrt, "PICTURES", profile)
    return profile


def test_built_in_the_background_while_the_standby_serves(engine, stand_in, frames, weights):
    wanted = open_backend("torch", weights, "float32").upscale(frames)
    assert "tensorrt being built" in engine.name
    names = []
    for _ in range(4):
        assert np.array_equal(engine.upscale(frames), wanted)
        names.append(engine.name)
        engine.wait()
    assert names == ["torch float32", "tensorrt float16", "tensorrt float16", "tensorrt float16"]
    # First the engine with free axes, then, as the size comes again, one of its own.
    assert [sorted(one) for one in stand_in.compiled] == [
        ["dtype", "max_shape", "min_shape", "name", "opt_shape"],
        ["dtype", "name", "shape"],
    ]
    assert stand_in.compiled[1]["shape"] == (1, 1, *SIZE)
    assert len(cache.entries()) == 2
    assert not engine.failures


def test_a_second_process_loads_what_the_first_has_built(engine, stand_in, frames, weights, caplog):
    engine.prepare(exactly(*SIZE))
    other = make(stand_in, weights)
    other._asked.add(tensorrt.PICTURES)  # not to be built in the background here
    with caplog.at_level(logging.INFO):
        other.prepare(exactly(*SIZE))
    assert len(stand_in.compiled) == 1
    assert "engine cache: loaded" in caplog.text
    assert np.array_equal(other.upscale(frames), engine.upscale(frames))
    assert other.name == "tensorrt float16"


def test_an_engine_that_differs_is_deleted_and_not_used(engine, stand_in, frames, weights, caplog):
    stand_in.damage = 3.0
    wanted = open_backend("torch", weights, "float32").upscale(frames)
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert np.array_equal(engine.upscale(frames), wanted)
            engine.wait()
    assert engine.name == "torch float32"
    assert "differs from float32 by" in engine.reason
    assert "goes on" in caplog.text
    assert cache.entries() == []
    assert len(stand_in.compiled) == 2  # each profile once, not again and again


def test_a_failing_build_leaves_the_standby(engine, stand_in, frames):
    stand_in.error = RuntimeError("no converter for this layer\nand more")
    for _ in range(4):
        engine.upscale(frames)
        engine.wait()
    assert engine.name == "torch float32"
    assert "no converter for this layer" in engine.reason


def test_an_engine_that_fails_in_a_clip_loses_no_frame(engine, stand_in, frames, weights, caplog):
    wanted = open_backend("torch", weights, "float32").upscale(frames)
    engine.prepare(exactly(*SIZE))
    assert np.array_equal(engine.upscale(frames), wanted)
    engine._pipelines.clear()
    engine._modules[exactly(*SIZE)] = lambda luma: 1 / 0
    with caplog.at_level(logging.WARNING):
        assert np.array_equal(engine.upscale(frames), wanted)
    assert engine.name == "torch float32"
    assert "failed: division by zero" in engine.reason


def test_deep_frames_are_left_to_the_standby(engine, frames, stand_in):
    engine.prepare(exactly(*SIZE))
    engine.upscale(frames.astype(np.uint16))
    assert engine.name == "torch float32"


@pytest.mark.parametrize("profile", [exactly(17, 23), Profile((16, 16), (24, 40), (64, 64))])
def test_the_exported_graph_equals_the_network(profile, weights):
    layers = read_layers(weights.path)
    program = export(layers, profile, dtype=torch.float32, device="cpu")
    operators = {str(node.target) for node in program.graph.nodes if node.op == "call_function"}
    assert any("pixel_shuffle" in name for name in operators)
    free = [range_ for range_ in program.range_constraints.values()]
    assert len(free) == (0 if profile.static else 2)
    sizes = [profile.expected] if profile.static else [(16, 16), (33, 64), (64, 17)]
    network = ExportNetwork(layers, torch.float32)
    for height, width in sizes:
        codes = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 1, height, width)).astype(np.float32))
        result = program.module()(codes * UNIT)
        assert torch.equal(result, network(codes * UNIT))
        assert result.shape == (1, 1, 2 * height, 2 * width)
    if profile.static:
        with pytest.raises((AssertionError, RuntimeError), match="(?i)guard|shape"):
            program.module()(torch.zeros(1, 1, 18, 23))


def test_half_precision_holds_every_code():
    codes = torch.arange(256)
    assert torch.equal((codes.half() * UNIT / UNIT).int(), codes.int())
    assert PICTURES.holds(720, 1280)
    assert not PICTURES.holds(15, 1280)


def test_refused_with_the_reason(weights, monkeypatch):
    monkeypatch.setattr(tensorrt.cuda, "why_not", lambda: None)
    monkeypatch.setattr(tensorrt.cuda, "open_engine", lambda _: None)
    with pytest.raises(EngineError, match="tensorrt: torch_tensorrt cannot be imported: No module named"):
        tensorrt.open_engine(weights)
    with pytest.raises(EngineError, match="no int8"):
        tensorrt.open_engine(weights, "int8")


def test_the_cache_key_names_everything(engine, weights):
    key = engine._toolkit.key(weights, PICTURES)
    assert key.weights == weights.sha256
    assert key.shape == "1x1x16x16_720x1280_2160x3840"
    assert key.torch == torch.__version__
    assert (key.gpu, key.sm, key.tensorrt) == ("Test GPU", "90", "11.0")


@pytest.mark.slow
def test_the_recorded_signatures_are_the_installed_package_s():
    spec = importlib.util.find_spec("torch_tensorrt")  # which does not import it: that fails without a GPU
    if spec is None or spec.origin is None:
        pytest.skip("torch-tensorrt is not installed")
    version = metadata.version("torch-tensorrt")
    if version not in SIGNATURES:
        pytest.skip(f"no signatures recorded for torch-tensorrt {version}")
    for used, (file, name) in torch_tensorrt_signatures.USED.items():
        source = (Path(spec.origin).parent / file).read_text(encoding="utf-8")
        assert torch_tensorrt_signatures.signature(source, name) == SIGNATURES[version][used]


@pytest.mark.gpu
def test_on_a_gpu(engines, weights, frames):
    if not torch.cuda.is_available():
        pytest.skip("needs an NVIDIA GPU")
    pytest.importorskip("torch_tensorrt", reason="torch-tensorrt is not installed", exc_type=Exception)
    engine = tensorrt.open_engine(weights)
    engine.prepare(exactly(*SIZE))
    difference = np.abs(engine.upscale(frames).astype(int) - open_backend("torch", weights, "float32").upscale(frames))
    assert engine.name == "tensorrt float16"
    assert difference.max() <= 1
