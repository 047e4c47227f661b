"""fit: what it writes, resuming, several processes, its errors."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.model import ESPCN
from espcn_demo.weights import load_network, read
from train.data import Pair
from train.fit import main, parser
from train.pool import Pool
from train.trainer import Recipe, Trainer, eightfold, rate_at, train

ROOT = Path(__file__).parent.parent


class Fixed:
    """A unit of pairs that are there already."""

    def __init__(self, pairs):
        self.pairs, self.path, self.bytes = pairs, Path("fixed"), 1

    def load(self, seed):
        return self.pairs


def small_pool(batch=2, seed=0):
    from skimage.data import camera

    high = camera()[100:196, 180:276]
    low = high.reshape(48, 2, 48, 2).mean((1, 3)).astype(np.uint8)
    return Pool([Fixed([Pair(high, low)])], batch=batch, patch=12, seed=seed, memory=1 << 20)


@pytest.fixture
def folder(tmp_path):
    from skimage.data import astronaut

    made = tmp_path / "data"
    made.mkdir()
    for n in range(3):
        Image.fromarray(astronaut()[40 * n : 40 * n + 80, 100:220]).save(made / f"{n}.png")
    return made


def small_run(folder, out, *more):
    options = ["--batch", "2", "--patch", "12", "--threads", "1", "--run-folder", str(out.parent / "run")]
    return main(["--data", str(folder), "--out", str(out), *options, *more])


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_the_rate_warms_up_and_falls():
    recipe = Recipe()
    rates = [rate_at(recipe, p) for p in (0.0, 0.01, 0.5, 1.0)]
    assert rates[0] < rates[1] > rates[2] > rates[3] == pytest.approx(recipe.last_rate)


def test_fit_writes_weights_card_checkpoint_and_curves(folder, tmp_path):
    out = tmp_path / "mine.safetensors"
    assert small_run(folder, out, "--steps", "4") == 0
    weights = read(out)
    assert load_network(weights)(torch.rand(1, 1, 8, 9)).shape == (1, 1, 16, 18)
    card = weights.card
    assert card["steps"] == 4 and card["recipe"]["seed"] == 0 and len(card["data_sha256"]) == 64
    assert card["command"].startswith("python -m train fit --data") and card["versions"]["torch"] == torch.__version__
    run = tmp_path / "run"
    assert (run / "checkpoint.pt").exists() and (run / "curves.png").exists() and list(run.glob("events.*"))
    assert not list(run.glob("*.tmp"))


def test_training_learns():
    torch.manual_seed(0)
    before = ESPCN()
    low, high = (torch.from_numpy(a) for a in small_pool(batch=16)(10_000))
    after = train(Recipe(batch=4, patch=12, rate=2e-3), small_pool(batch=4), steps=60)
    errors = [float((network(low) - high).square().mean().detach()) for network in (before, after)]
    assert errors[1] < 0.9 * errors[0]


def test_an_interrupted_run_ends_with_the_same_weights(tmp_path):
    recipe = Recipe(batch=2, patch=12, precision="bf16")
    whole = Trainer(recipe, small_pool(), steps=20)
    for _ in whole.run():
        pass
    first = Trainer(recipe, small_pool(), steps=20)
    for _ in first.run():
        if first.state.step == 7:
            break
    first.state.save(tmp_path / "c.pt")
    second = Trainer(recipe, small_pool(), steps=20)
    second.state.load(tmp_path / "c.pt")
    for _ in second.run():
        pass
    for kind in ("ema", "network"):
        pairs = zip(getattr(whole.state, kind).parameters(), getattr(second.state, kind).parameters(), strict=True)
        assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_a_killed_command_resumes_to_the_same_file(folder, tmp_path):
    straight, killed = tmp_path / "a" / "w.safetensors", tmp_path / "b" / "w.safetensors"

    def options(out):
        data = ["--data", str(folder), "--steps", "150", "--batch", "2", "--patch", "12", "--threads", "1"]
        return [*data, "--save-every", "0", "--out", str(out), "--run-folder", str(out.parent)]

    command = [sys.executable, "-m", "train", "fit", *options(killed)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    while not (killed.parent / "checkpoint.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.communicate()
    assert not killed.exists()
    assert main([*options(killed), "--resume"]) == main(options(straight)) == 0
    assert read(killed).sha256 == read(straight).sha256


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "tolerance"), [("adamw", 2e-3), ("soap", 0.15)])
def test_two_processes_learn_what_one_does(optimizer, tolerance, folder, tmp_path):
    """SOAP's first bases are those of one gradient, whose null space a rounding error turns; AdamW has no such step."""
    runs = [tmp_path / "one", tmp_path / "two"]

    def options(run):
        data = ["--data", str(folder), "--validation", str(folder), "--steps", "12", "--batch", "4", "--patch", "12"]
        how = ["--threads", "1", "--optimizer", optimizer, "--report-every", "0"]
        return [*data, *how, "--run-folder", str(run), "--out", str(run / "w.safetensors")]

    assert main(options(runs[0])) == 0
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    command = [*launcher, "train", "fit", *options(runs[1])]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr[-2000:]
    curves = [torch.load(run / "checkpoint.pt", weights_only=True)["history"] for run in runs]
    one, two = ([(point["loss"], point["psnr"]) for point in curve if point["loss"] > 0] for curve in curves)
    assert len(one) == len(two) >= 12
    np.testing.assert_allclose(two, one, rtol=tolerance)


def test_fine_tuning_starts_from_the_given_weights(folder, tmp_path):
    first, second = tmp_path / "first.safetensors", tmp_path / "second.safetensors"
    small_run(folder, first, "--steps", "3")
    small_run(folder, second, "--steps", "1", "--init", str(first), "--rate", "1e-9")
    a, b = (load_network(read(path)).state_dict() for path in (first, second))
    assert all(torch.allclose(a[name], b[name], atol=1e-6) for name in a)


def test_the_eightfold_mean_of_a_symmetric_function_is_the_function():
    low = torch.rand(2, 1, 5, 7)
    assert torch.allclose(eightfold(torch.nn.Upsample(scale_factor=2), low), torch.nn.Upsample(scale_factor=2)(low))


def test_fp16_autocast_trains_on_this_device():
    network = train(Recipe(batch=2, patch=12, precision="fp16"), small_pool(), steps=3)
    assert all(torch.isfinite(p).all() for p in network.parameters())


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ([], "either --minutes or --steps"),
        (["--steps", "0"], "greater than zero"),
        (["--steps", "2", "--minutes", "1"], "either --minutes or --steps"),
        (["--steps", "2", "--batch", "0"], "at least 1"),
        (["--steps", "2", "--degradation", "second"], "needs --first"),
        (["--steps", "2", "--init", "nowhere.pt"], "no checkpoint"),
        (["--steps", "2", "--init", "nowhere.safetensors"], "does not exist"),
        (["--steps", "2", "--patch", "500"], "smaller than a patch"),
    ],
)
def test_what_the_user_can_put_right_is_one_sentence(folder, tmp_path, more, sentence):
    with pytest.raises(InputError, match=sentence) as caught:
        small_run(folder, tmp_path / "x.safetensors", *more)
    assert "\n" not in str(caught.value) and not (tmp_path / "x.safetensors").exists()


def test_a_wrong_checkpoint_is_one_sentence(folder, tmp_path):
    out = tmp_path / "x.safetensors"
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "checkpoint.pt").write_bytes(b"something else")
    with pytest.raises(InputError, match="is not a checkpoint"):
        small_run(folder, out, "--steps", "2", "--resume")
    (tmp_path / "run" / "checkpoint.pt").unlink()
    small_run(folder, out, "--steps", "2")
    with pytest.raises(InputError, match="other recipe"):
        small_run(folder, out, "--steps", "2", "--resume", "--rate", "0.5")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is a Linux device")
def test_a_full_disk_is_one_sentence_and_leaves_no_file(monkeypatch, tmp_path):
    trainer = Trainer(Recipe(batch=2, patch=12), small_pool(), steps=1)
    save = torch.save
    monkeypatch.setattr(torch, "save", lambda stored, path: save(stored, "/dev/full"))
    with pytest.raises(InputError, match="free disk space"):
        trainer.state.save(tmp_path / "c.pt")
    assert not list(tmp_path.iterdir())


def test_the_command_ends_with_two_and_one_line(tmp_path):
    command = [sys.executable, "-m", "train", "fit", "--data", str(tmp_path), "--steps", "1", "--out", "x.safetensors"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=250)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no pictures or videos" in done.stderr


def test_every_option_says_what_it_does():
    assert all(action.help for action in parser()._actions if action.dest not in ("seed",))
