"""The network, the weights and the contract that everything stands on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from espcn_demo import weights as store
from espcn_demo.backends import choose
from espcn_demo.errors import EngineError, InputError, WeightsError
from espcn_demo.model import ESPCN, FLOP_PER_PIXEL, HALO, PARAMETERS, CodeValues, count_parameters
from espcn_demo.upscaler import Chain, HandOver, SelfEnsemble, open_upscaler


class Nearest:
    """The smallest upscaler that keeps the contract."""

    name, reason, refusals, scale = "nearest", "a test", (), 2

    def upscale(self, frames, *, white=None):
        return frames.repeat(2, axis=1).repeat(2, axis=2)


class Broken(Nearest):
    name = "broken"

    def upscale(self, frames, *, white=None):
        raise RuntimeError("device lost\nat line 3")


def test_the_network_has_its_stated_size(network):
    assert count_parameters(network) == PARAMETERS == 58_212
    macs = sum(c.weight.numel() for c in network.convolutions)
    assert 2 * macs == FLOP_PER_PIXEL


def test_without_detail_the_output_is_the_nearest_enlargement():
    network = ESPCN()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        luma = torch.rand(2, 1, 5, 7)
        assert torch.equal(network(luma), F.interpolate(luma, scale_factor=2, mode="nearest"))


def test_the_halo_is_exactly_five_pixels():
    network = ESPCN()
    for parameter in network.parameters():
        parameter.data.abs_()  # so that no ReLU hides a pixel's influence
    base = torch.zeros(1, 1, 31, 31)
    touched = base.clone()
    touched[0, 0, 15, 15] = 1.0
    with torch.no_grad():
        changed = (network(touched) - network(base))[0, 0] != 0
    rows = changed.any(1).nonzero().flatten() // 2
    assert (int(rows.min()), int(rows.max())) == (15 - HALO, 15 + HALO)


def test_codes_are_clamped_and_rounded(network):
    graph = CodeValues(network)
    black_and_white = torch.tensor([[0, 255] * 8] * 16, dtype=torch.uint8)[None, None]
    result = graph(black_and_white)
    assert result.dtype == torch.uint8 and result.shape == (1, 1, 32, 32)
    expected = (network(black_and_white.float() / 255) * 255).clamp(0, 255).round()
    assert torch.equal(result.float(), expected)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 7, 5), (1, 48, 64)])
def test_every_open_engine_keeps_the_contract(shape):
    frames = np.arange(np.prod(shape), dtype=np.uint32).reshape(shape)
    for dtype, white in ((np.uint8, None), (np.uint16, 1023), (np.uint16, None)):
        codes = (frames % (white or np.iinfo(dtype).max)).astype(dtype)
        result = open_upscaler().upscale(codes, white=white)
        assert result.dtype == dtype and result.shape == (shape[0], 2 * shape[1], 2 * shape[2])
        assert result.max() <= (white or np.iinfo(dtype).max)


def test_a_chain_multiplies_scales_and_an_ensemble_keeps_them():
    frames = np.arange(12, dtype=np.uint8).reshape(1, 3, 4)
    assert Chain([Nearest(), Nearest()]).upscale(frames).shape == (1, 12, 16)
    assert np.array_equal(SelfEnsemble(Nearest()).upscale(frames), Nearest().upscale(frames))


def test_an_engine_that_fails_hands_its_frames_over(caplog):
    engine = HandOver([Broken, Nearest], first=Broken())
    frames = np.ones((3, 2, 2), np.uint8)
    assert engine.upscale(frames).shape == (3, 4, 4)
    assert engine.name == "nearest" and "broken failed: device lost" in engine.refusals[0]
    assert "going on with nearest" in caplog.text


def test_options_outside_the_offer_are_refused(weights):
    with pytest.raises(InputError, match="scale 3"):
        open_upscaler(scale=3)
    with pytest.raises(InputError, match="backend"):
        choose("abacus", weights=weights)
    with pytest.raises(EngineError, match="no float16"):
        choose("torch", weights=weights, precision="float16")


def copy_weights(folder: Path) -> Path:
    source = store.resolve("espcn_x2").path
    for path in (source, source.with_suffix(".json")):
        shutil.copy(path, folder)
    return folder / source.name


def test_damaged_missing_and_foreign_weights_are_refused(tmp_path):
    path = copy_weights(tmp_path)
    assert store.read(path).name == "espcn_x2"
    card = json.loads(path.with_suffix(".json").read_text())

    path.with_suffix(".json").write_text(json.dumps(card | {"dimensions": {"channels": [1, 8, 4], "kernels": [5, 3]}}))
    with pytest.raises(WeightsError, match="other dimensions"):
        store.read(path)
    path.with_suffix(".json").write_text("not a card")
    with pytest.raises(WeightsError, match="not a weights card"):
        store.read(path)
    path.with_suffix(".json").write_text(json.dumps(card))
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    with pytest.raises(WeightsError, match="SHA-256"):
        store.read(path)
    with pytest.raises(WeightsError, match="does not exist"):
        store.resolve(str(tmp_path / "none.safetensors"))
    with pytest.raises(WeightsError, match="no weights named"):
        store.resolve("espcn_x99")


def test_a_pickled_file_is_never_opened(tmp_path):
    path = tmp_path / "evil.safetensors"
    torch.save({"weights": torch.zeros(1)}, path)
    card = {"sha256": __import__("hashlib").sha256(path.read_bytes()).hexdigest(), "dimensions": store_dimensions()}
    path.with_suffix(".json").write_text(json.dumps(card))
    with pytest.raises(WeightsError, match="does not hold"):
        store.load_network(store.read(path))


def store_dimensions() -> dict:
    from espcn_demo.model import DIMENSIONS

    return DIMENSIONS.as_dict()


def test_saving_and_reading_agree(tmp_path, network):
    store.save(network, tmp_path / "again.safetensors", {"note": "a copy"})
    again = store.read(tmp_path / "again.safetensors")
    assert again.card["note"] == "a copy"
    for a, b in zip(store.load_network(again).parameters(), network.parameters(), strict=True):
        assert torch.equal(a, b)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.json", "again.safetensors"]
