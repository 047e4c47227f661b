"""Every backend that runs here against float32 torch, and what happens when one fails."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from espcn_demo.backends import choose, machine, open_backend, quantised
from espcn_demo.backends.eager import Eager
from espcn_demo.errors import EngineError, InputError
from espcn_demo.model import CodeValues
from espcn_demo.upscaler import Chain, HandOver, SelfEnsemble, open_upscaler

ENGINES = [("openvino", "float32"), ("openvino", "bf16"), ("torch", "float32"), ("torch", "bf16")]


@pytest.fixture(scope="module")
def open_once(weights):
    opened = {}

    def get(name: str, precision: str):
        if (name, precision) not in opened:
            opened[name, precision] = open_backend(name, weights, precision)
        return opened[name, precision]

    return get


def photographs() -> dict[str, np.ndarray]:
    from skimage import data

    return {
        "camera": data.camera()[100:196, 120:248],
        "astronaut": data.astronaut()[20:116, 160:288, 1],
        "coffee": data.coffee()[100:196, 200:328, 0],
    }


def extremes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    board = (np.indices((48, 64)).sum(0) % 2 * 255).astype(np.uint8)
    return {
        "black": np.zeros((32, 48), np.uint8),
        "white": np.full((32, 48), 255, np.uint8),
        "checkerboard": board,
        "noise": rng.integers(0, 256, (64, 96)).astype(np.uint8),
        "binary noise": (rng.integers(0, 2, (64, 96)) * 255).astype(np.uint8),
    }


def reference(network, frame: np.ndarray, white: int) -> np.ndarray:
    dtype = torch.uint8 if frame.dtype == np.uint8 else torch.uint16
    with torch.inference_mode():
        graph = CodeValues(network, white=white, dtype=dtype)
        return graph(torch.from_numpy(frame.copy())[None, None])[0, 0].numpy()


def differences(engine, network, frame: np.ndarray, white: int = 255) -> np.ndarray:
    result = engine.upscale(np.ascontiguousarray(frame)[None], white=white)
    assert result.dtype == frame.dtype
    assert result.shape == (1, 2 * frame.shape[0], 2 * frame.shape[1])
    return np.abs(result[0].astype(np.int64) - reference(network, frame, white).astype(np.int64))


@pytest.mark.parametrize(("name", "precision"), ENGINES)
def test_photographs_differ_by_one_code_at_most(name, precision, open_once, network):
    share = 1e-3 if precision == "float32" else 0.05
    for picture, frame in photographs().items():
        found = differences(open_once(name, precision), network, frame)
        assert found.max() <= 1, picture
        assert (found > 0).mean() <= share, picture


@pytest.mark.parametrize(("name", "precision"), ENGINES)
def test_extremes_differ_by_few_codes(name, precision, open_once, network):
    for picture, frame in extremes().items():
        found = differences(open_once(name, precision), network, frame)
        assert found.max() <= (1 if precision == "float32" else 2), picture
        assert (found > 1).mean() <= 3e-3, picture  # kernels of bfloat16 values leave 0.1 %


@pytest.mark.parametrize(("name", "precision"), ENGINES)
@pytest.mark.parametrize("size", [(1, 1), (1, 7), (9, 1), (37, 19), (5, 131)])
def test_odd_sizes(name, precision, size, open_once, network):
    frame = photographs()["camera"][: size[0], : size[1]]
    assert differences(open_once(name, precision), network, frame).max() <= 1


@pytest.mark.parametrize(("name", "precision"), ENGINES)
@pytest.mark.parametrize("white", [1023, 65535])
def test_deep_samples_are_computed_in_float32(name, precision, white, open_once, network):
    rng = np.random.default_rng(1)
    picture = photographs()["camera"][:64, :96].astype(np.uint32) * white // 255
    frame = np.minimum(picture + rng.integers(0, 4, picture.shape), white).astype(np.uint16)
    found = differences(open_once(name, precision), network, frame, white)
    assert found.max() <= 1
    assert (found > 0).mean() <= 0.02


@pytest.mark.parametrize(("name", "precision"), ENGINES)
def test_a_batch_equals_its_frames_and_views_are_taken(name, precision, open_once):
    engine = open_once(name, precision)
    frame = photographs()["coffee"][:40, :56]
    frames = np.stack([frame, frame[::-1], frame[:, ::-1]])
    frames.setflags(write=False)
    batch = engine.upscale(frames)
    for index in range(3):
        assert np.array_equal(batch[index], engine.upscale(frames[index : index + 1])[0])
    mirrored = engine.upscale(frames[:1, :, ::-1])
    assert np.array_equal(mirrored[0], batch[2])
    assert engine.upscale(frames[:0]).shape == (0, 80, 112)


@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_torch_tiles_equal_the_whole(precision, weights):
    frame = photographs()["astronaut"][None]
    whole = Eager(weights, precision, tile=(1000, 1000)).upscale(frame)
    assert np.array_equal(Eager(weights, precision, tile=(41, 50)).upscale(frame), whole)


def test_frames_of_another_type_are_refused(weights):
    engine = choose("auto", weights=weights)
    with pytest.raises(TypeError, match="uint8 or uint16"):
        engine.upscale(np.zeros((1, 8, 8), np.float32))
    assert "failed" not in engine.reason


def test_the_choice_says_why(weights, caplog):
    with caplog.at_level(logging.INFO, logger="espcn_demo.backends"):
        engine = choose("auto", weights=weights)
    assert engine.name in caplog.text
    for refusal in engine.refusals:
        assert refusal in caplog.text
    if not torch.cuda.is_available():
        assert [refusal.split(":")[0] for refusal in engine.refusals] == ["tensorrt", "cuda"]
        with pytest.raises(EngineError, match="cuda: "):
            choose("cuda", weights=weights)


def test_unknown_names_are_refused(weights):
    with pytest.raises(InputError, match="no backend 'tpu'"):
        choose("tpu", weights=weights)
    with pytest.raises(InputError, match="no precision 'int4'"):
        choose("auto", weights=weights, precision="int4")
    with pytest.raises(EngineError, match="no float16"):
        open_backend("torch", weights, "float16")


class Failing:
    """Enlarges by repetition and fails at the call asked for."""

    scale, refusals, reason = 2, (), "for the test"

    def __init__(self, name: str, fails_at: int | None = None) -> None:
        self.name, self.fails_at, self.calls = name, fails_at, 0

    def upscale(self, frames, *, white=None):
        self.calls += 1
        if self.calls == self.fails_at:
            raise RuntimeError("device lost\nmore of it")
        return frames.repeat(2, 1).repeat(2, 2)


def test_an_engine_that_fails_hands_over_without_losing_a_frame(caplog):
    clip = np.arange(6 * 4 * 4, dtype=np.uint8).reshape(6, 4, 4)

    def refusing():
        raise EngineError("middle: does not open")

    engine = HandOver([refusing, lambda: Failing("last")], first=Failing("first", fails_at=3), refusals=("gpu: none",))
    with caplog.at_level(logging.WARNING):
        result = np.concatenate([engine.upscale(clip[index : index + 1]) for index in range(6)])
    assert np.array_equal(result, clip.repeat(2, 1).repeat(2, 2))
    assert engine.name == "last"
    assert "first failed: device lost" in engine.reason
    assert engine.refusals == ("gpu: none", "first failed: device lost", "middle: does not open")
    assert "going on with last" in caplog.text


def test_the_last_engine_s_error_is_raised():
    with pytest.raises(RuntimeError, match="device lost"):
        HandOver([], first=Failing("only", fails_at=1)).upscale(np.zeros((1, 4, 4), np.uint8))


def test_a_broken_library_is_a_refusal_not_a_crash(weights, monkeypatch):
    def broken(*_):
        raise OSError("cannot load library\nat address 0")

    monkeypatch.setattr("espcn_demo.backends.openvino.open_engine", broken)
    engine = choose("auto", weights=weights)
    assert engine.name.startswith("torch")
    assert engine.refusals[-1] == "openvino: cannot load library"


def test_precision_follows_the_processor(weights, monkeypatch):
    monkeypatch.setattr("espcn_demo.backends.openvino.has_bfloat16", lambda: False)
    monkeypatch.setattr("espcn_demo.backends.openvino.has_int8", lambda: False)
    assert open_backend("openvino", weights).name == "openvino float32"
    monkeypatch.setattr("espcn_demo.backends.eager.has_bfloat16", lambda: False)
    assert open_backend("torch", weights).name == "torch float32"


@pytest.mark.parametrize(
    ("text", "cores"), [("150000 100000", 2), ("max 100000", None), ("50000 100000", 1), ("nonsense", None)]
)
def test_the_control_group_s_quota_is_read(text, cores, tmp_path, monkeypatch):
    quota = tmp_path / "cpu.max"
    quota.write_text(text, encoding="ascii")
    monkeypatch.setattr(machine, "QUOTA_FILES", (quota, tmp_path / "missing"))
    assert machine._quota() == cores
    assert 1 <= machine.granted_cores() <= (cores or 10**6)


def test_chain_and_ensemble_keep_the_contract(weights):
    frames = photographs()["camera"][None, :24, :32]
    engine = open_backend("torch", weights, "float32")
    assert Chain([engine, engine]).upscale(frames).shape == (1, 96, 128)
    best = SelfEnsemble(engine)
    turned = best.upscale(np.ascontiguousarray(frames.transpose(0, 2, 1)))
    difference = best.upscale(frames).astype(int) - turned.transpose(0, 2, 1)
    assert np.abs(difference).max() <= 1
    assert open_upscaler(scale=4, backend="torch", quality="best").scale == 4
    with pytest.raises(InputError, match="scale 3"):
        open_upscaler(scale=3)
    with pytest.raises(InputError, match="quality"):
        open_upscaler(quality="worst")


@pytest.mark.slow
def test_the_benchmark_scores_hold(data, weights, open_once):
    from espcn_demo.degrade import to_codes
    from espcn_demo.metrics import psnr
    from train.benchmark import samples

    pictures = [(to_codes(one.low)[None], to_codes(one.high)) for one in samples(data / "benchmark" / "Set5")]
    exact = open_once("torch", "float32")
    allowed = {"bf16": 0.03, "float32": 0.001}

    def score(engine) -> float:
        return float(np.mean([psnr(high, engine.upscale(low)[0], peak=255, border=2) for low, high in pictures]))

    wanted = score(exact)
    for name, precision in ENGINES[:2] + ENGINES[3:]:
        assert abs(score(open_once(name, precision)) - wanted) <= allowed[precision], (name, precision)
    if quantised.twin_path(weights.path).is_file():
        assert wanted - score(open_backend("openvino", weights, "int8")) <= 0.05
