"""evaluate, export, publish, experiments: on a small benchmark made from bundled photographs."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from espcn_demo.degrade import to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr
from espcn_demo.model import ESPCN
from espcn_demo.weights import read, save
from tests.stand_in_hub import StandInHub
from train import evaluate, results
from train.benchmark import Sample, benchmarks, jpeg, measure, samples
from train.methods import chain, interpolation, interpolations, neural
from train.srcnn import SRCNN
from train.trials import Branched, ShuffledApart

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def benchmark(tmp_path_factory):
    from skimage.data import astronaut, coffee

    folder = tmp_path_factory.mktemp("benchmarks") / "Small"
    for name, picture in (("a", astronaut()[:80, 160:260]), ("b", coffee()[100:180, 200:320])):
        high = Image.fromarray(np.ascontiguousarray(picture))
        for part, factor in (("HR", 1), ("LRx2", 2), ("LRx4", 4)):
            (folder / part).mkdir(parents=True, exist_ok=True)
            size = (high.width // factor, high.height // factor)
            high.resize(size, Image.Resampling.BICUBIC).save(folder / part / f"{name}.png")
    return folder


@pytest.fixture
def untrained(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "made.safetensors"
    save(ESPCN(), path, {"steps": 0, "recipe": {"degradation": "bicubic"}, "data": ["some pictures"]})
    return path


def test_bicubic_scores_what_the_papers_say(data):
    (scores,) = [measure(samples(data / "benchmark" / "Set5"), {"bicubic": interpolation("bicubic")})]
    assert scores["bicubic"].psnr == pytest.approx(33.67, abs=0.02)
    assert scores["bicubic"].ssim == pytest.approx(0.930, abs=0.001)


@pytest.mark.slow
def test_bicubic_on_the_larger_sets_and_at_four_times(data):
    bicubic = {"bicubic": interpolation("bicubic")}
    for name, value in (("Set14", 30.33), ("BSD100", 29.56)):
        assert measure(samples(data / "benchmark" / name), bicubic)["bicubic"].psnr == pytest.approx(value, abs=0.02)
    four = {"bicubic": interpolation("bicubic", 4)}
    assert measure(samples(data / "benchmark" / "Set5", 4), four, 4)["bicubic"].psnr == pytest.approx(28.43, abs=0.02)


def test_a_method_that_knows_the_answer_is_perfect():
    high = np.round(np.random.default_rng(0).random((20, 24)) * 255).astype(np.float32) / np.float32(255)
    scores = measure([Sample("x", high, high[::2, ::2])], {"cheat": lambda low: high, "grey": lambda low: high * 0})
    assert scores["cheat"].psnr == float("inf") and scores["cheat"].ssim == pytest.approx(1)
    assert scores["grey"].psnr == pytest.approx(psnr(high, high * 0, border=2))


def test_a_chain_hands_over_eight_bit_codes():
    seen = []
    low = np.full((4, 4), 0.5001, np.float32)
    chain(interpolation("nearest"), lambda plane: seen.append(plane) or plane)(low)
    assert seen[0].shape == (8, 8) and np.array_equal(seen[0] * 255, np.rint(seen[0] * 255))


def test_evaluate_prints_every_method_on_every_benchmark(benchmark, untrained, capsys):
    command = ["--benchmark", str(benchmark), "--weights", str(untrained)]
    assert evaluate.main([*command, "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert set(report) == {"2x", "4x", "decimate"}
    assert set(report["2x"]["Small"]) == {"nearest", "bilinear", "bicubic", "lanczos", "made"}
    assert "made, twice" in report["4x"]["Small"]
    assert evaluate.main(command) == 0
    printed = capsys.readouterr().out
    value = f"{report['2x']['Small']['bicubic']['psnr']:.2f}"
    assert re.search(rf"\| bicubic \| {value} / 0\.\d{{4}} \|", printed)


def test_coarser_jpeg_scores_lower(benchmark):
    bicubic = interpolations()
    scores = [measure(jpeg(benchmark, quality), bicubic)["bicubic"].psnr for quality in (30, 60, 95)]
    assert scores == sorted(scores)


def test_no_benchmark_is_one_sentence(tmp_path):
    with pytest.raises(InputError, match="holds no benchmark"):
        benchmarks(tmp_path)
    with pytest.raises(InputError, match="what to score on"):
        evaluate.main([])


def test_results_keep_their_other_sections(tmp_path):
    path = tmp_path / "RESULTS.md"
    results.put("levers", "one", path)
    results.put("scores", "two", path)
    results.put("levers", "three", path)
    text = path.read_text()
    assert "one" not in text and text.index("two") < text.index("three")


def test_export_measures_and_keeps_the_card(benchmark, untrained, tmp_path):
    from train.export import main

    out = tmp_path / "out.safetensors"
    assert main([str(untrained), "--out", str(out), "--benchmark", str(benchmark), "--command", "by hand"]) == 0
    card = read(out).card
    assert card["command"] == "by hand" and card["recipe"] == {"degradation": "bicubic"}
    direct = measure(samples(benchmark), {"n": neural(ESPCN())})  # another network scores otherwise
    assert card["scores"]["Small 2x"]["psnr"] != pytest.approx(direct["n"].psnr, abs=1e-3)


def test_branches_fold_into_the_same_function():
    torch.manual_seed(3)
    network = Branched()
    with torch.no_grad():
        for parameter in (*network.points, *network.scales):
            parameter.add_(0.1 * torch.randn_like(parameter))
        luma = torch.rand(2, 1, 9, 11)
        assert (network(luma) - network.fold()(luma)).abs().max() < 1e-5
        assert (network(luma) - ESPCN()(luma)).abs().max() > 1e-3


def test_srcnn_doubles_the_size():
    assert SRCNN()(torch.rand(1, 1, 8, 10)).shape == (1, 1, 16, 20)
    assert sum(p.numel() for p in SRCNN().parameters()) == 64 * 82 + 32 * 65 + 801


def test_independent_shuffling_keeps_the_targets_but_not_their_inputs():
    def batches(step, *, rank=0, world=1):
        values = np.arange(8, dtype=np.float32).reshape(8, 1, 1, 1)
        return values, values

    low, high = ShuffledApart(batches)(0)
    assert sorted(high.ravel()) == sorted(low.ravel()) and not np.array_equal(low, high)


def test_three_ways_of_colour_come_back_to_the_picture(tmp_path, photo):
    from train.colour import COLOURS, _join, _split

    for colour in COLOURS:
        again = to_codes(_join(_split(photo, colour), colour))
        assert np.abs(again.astype(int) - photo).max() <= 1


def test_the_model_card_has_every_score(untrained):
    from train.publish import model_card

    made = read(untrained)
    made.card["scores"] = {"Set5 2x": {"psnr": 37.1, "ssim": 0.95}}
    text = model_card([made], "someone/espcn")
    assert "model-index" in text and "value: 37.1" in text and "value: 0.95" in text
    assert "license: apache-2.0" in text and "some pictures" in text and "## Limits" in text


@pytest.mark.slow
def test_publish_makes_the_repository_on_a_stand_in(untrained, tmp_path):
    command = [sys.executable, "-m", "train", "publish", "--repo", "owner/name", "--weights", str(untrained)]
    environment = {**os.environ, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HOME": str(tmp_path / "home")}
    with StandInHub() as hub:
        done = subprocess.run(
            [*command, "--endpoint", hub.endpoint, "--token", "hf_test"],
            cwd=ROOT, env=environment, capture_output=True, text=True, timeout=250,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    assert hub.created[0]["name"] == "name"
    lines = [line for commit in hub.commits for line in commit]
    content = {line["value"]["path"]: line["value"]["content"] for line in lines if line["key"] == "file"}
    assert set(content) == {"made.safetensors", "made.json", "config.json", "README.md"}
    assert base64.b64decode(content["made.safetensors"]) == untrained.read_bytes()


def test_publish_without_an_answer_is_one_sentence(untrained, monkeypatch):
    import huggingface_hub

    from train.publish import main

    def refuse(*args, **kwargs):
        raise ConnectionRefusedError("refused")

    monkeypatch.setattr(huggingface_hub.HfApi, "create_repo", refuse)
    with pytest.raises(InputError, match="cannot be reached"):
        main(["--repo", "a/b", "--weights", str(untrained), "--endpoint", "http://127.0.0.1:9"])
    with pytest.raises(InputError, match="must be owner/name"):
        main(["--repo", "no slash", "--weights", str(untrained)])
