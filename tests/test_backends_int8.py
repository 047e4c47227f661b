"""The int8 form of weights: made by `python -m train quantise`, refused when it does not fit, close to float32."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from espcn_demo.backends import open_backend, quantised
from espcn_demo.errors import EngineError
from espcn_demo.weights import read
from train import quantise


@pytest.fixture(scope="module")
def own(weights, tmp_path_factory):
    """A copy of the bundled weights with an int8 form made from photographs in a few steps."""
    from skimage import data

    folder = tmp_path_factory.mktemp("int8")
    for suffix in (".safetensors", ".json"):
        shutil.copy(weights.path.with_suffix(suffix), folder / f"own{suffix}")
    pictures = folder / "pictures"
    pictures.mkdir()
    for name in ("astronaut", "coffee"):
        Image.fromarray(getattr(data, name)()[:256, :256]).save(pictures / f"{name}.png")
    (pictures / "broken.png").write_bytes(b"not a picture")
    path = folder / "own.safetensors"
    options = ["--data", str(pictures), "--steps", "2", "--batch", "2", "--benchmark", "none"]
    assert quantise.main(["--weights", str(path), *options]) == 0
    return read(path)


@pytest.fixture(scope="module")
def frame() -> np.ndarray:
    from skimage.data import camera

    return np.ascontiguousarray(camera()[None, 100:196, 120:248])


def test_close_to_float32(own, frame):
    engine = open_backend("openvino", own, "int8")
    exact = open_backend("openvino", own, "float32").upscale(frame).astype(float)
    difference = engine.upscale(frame) - exact
    assert engine.name == "openvino int8"
    # Two steps train nothing: this is what rounding alone costs, about 1 code. A wrong grid costs tens.
    assert np.sqrt(np.mean(difference**2)) < 2.5


def test_the_engine_computes_what_was_trained(own, frame):
    """The graph's int8 arithmetic against the integers in the file, in float64."""
    from safetensors.numpy import load_file
    from scipy.signal import correlate

    held = load_file(quantised.twin_path(own.path))
    small = frame[0, :12, :14]
    features = small[None].astype(np.float64) / 255
    for index in range(4):
        kernel = held[f"{index}.kernel"] * held[f"{index}.scale"].astype(np.float64)[:, None, None, None]
        sums = [sum(correlate(f, k, "same") for f, k in zip(features, one, strict=True)) for one in kernel]
        features = np.stack(sums) + held[f"{index}.bias"][:, None, None]
        if index < 3:
            ceiling = float(held["ceilings"][index])
            features = np.rint(np.clip(features / ceiling, 0, 1) * 255) * ceiling / 255
    detail = features.reshape(2, 2, 12, 14).transpose(2, 0, 3, 1).reshape(24, 28)
    wanted = np.rint(np.clip(small.repeat(2, 0).repeat(2, 1) + 255 * detail, 0, 255))
    result = open_backend("openvino", own, "int8").upscale(small[None])[0]
    difference = np.abs(result - wanted)
    assert difference.max() <= 1
    assert (difference > 0).mean() < 0.02


def test_deep_samples_are_computed_in_float32(own, frame):
    deep = frame[:, :32, :32].astype(np.uint16) * 257
    exact = open_backend("openvino", own, "float32").upscale(deep)
    assert np.array_equal(open_backend("openvino", own, "int8").upscale(deep), exact)


@pytest.mark.parametrize("fault", ["missing", "damaged", "of other weights", "no card", "another network"])
def test_a_form_that_does_not_fit_is_refused(fault, own, tmp_path):
    for path in own.path.parent.glob("own*"):
        shutil.copy(path, tmp_path / path.name)
    moved = read(tmp_path / "own.safetensors")
    twin = quantised.twin_path(moved.path)
    card = twin.with_suffix(".json")
    facts = json.loads(card.read_text(encoding="utf-8"))
    if fault == "missing":
        twin.unlink()
    elif fault == "damaged":
        twin.write_bytes(twin.read_bytes()[:-8])
    elif fault == "no card":
        card.write_text("{}", encoding="utf-8")
    elif fault == "of other weights":
        card.write_text(json.dumps({**facts, "quantised_from": "0" * 64}), encoding="utf-8")
    else:
        shutil.copy(moved.path, twin)
        card.write_text(json.dumps({**facts, "sha256": moved.sha256}), encoding="utf-8")
    with pytest.raises(EngineError, match="openvino int8: "):
        open_backend("openvino", moved, "int8")


def test_taken_where_the_processor_has_only_vnni(own, tmp_path, monkeypatch):
    monkeypatch.setattr("espcn_demo.backends.openvino.has_bfloat16", lambda: False)
    monkeypatch.setattr("espcn_demo.backends.openvino.has_int8", lambda: True)
    assert open_backend("openvino", own).name == "openvino int8"
    for suffix in (".safetensors", ".json"):
        shutil.copy(own.path.with_suffix(suffix), tmp_path / f"own{suffix}")
    without = open_backend("openvino", read(tmp_path / "own.safetensors"))
    assert without.name == "openvino float32"
    assert "no int8 form" in without.reason
