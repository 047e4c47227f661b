"""A Space's files: complete, right for the hardware, and uploaded as the Hub wants them."""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from espcn_demo import space
from espcn_demo.errors import InputError

from .stand_in_hub import COMMIT, StandInHub

ROOT = Path(__file__).parent.parent


def front_matter(text):
    import yaml

    return yaml.safe_load(text.split("---\n")[1])


@pytest.fixture
def no_variable(monkeypatch):
    monkeypatch.delenv("ESPCN_WEIGHTS", raising=False)


@pytest.mark.parametrize("hardware", space.HARDWARE)
def test_a_dry_run_writes_what_a_space_needs(hardware, tmp_path, no_variable):
    report = space.publish("owner/name", hardware=hardware, dry_run=tmp_path / "space")
    folder = tmp_path / "space"
    assert {"README.md", "app.py", "requirements.txt", "packages.txt", "weights/espcn_x2.safetensors"} <= set(
        report.files
    )
    assert "weights/espcn_x2.json" in report.files
    assert "espcn_demo/ui/page.py" in report.files
    assert not [name for name in report.files if "__pycache__" in name or "/." in name or name.startswith("tests")]
    assert report.url is None and report.as_dict()["folder"] == str(folder)
    front = front_matter((folder / "README.md").read_text())
    assert front["suggested_hardware"] == space.HARDWARE[hardware].flavor
    assert (folder / front["app_file"]).is_file()
    wanted = (folder / "requirements.txt").read_text()
    assert ("tensorrt" in wanted) == (hardware in ("t4", "l4", "a10g"))
    assert ("whl/cpu" in wanted) == (hardware == "cpu")
    assert ("spaces>" in wanted) == (hardware == "zero")
    assert "torch>=2.11,<2.12" in wanted


def test_the_repository_itself_is_a_space(no_variable):
    """README's front matter, requirements.txt and packages.txt say what `publish` would write for ZeroGPU."""
    own, written = (front_matter(text) for text in ((ROOT / "README.md").read_text(), space.card("zero")))
    for key in ("sdk", "sdk_version", "python_version", "app_file", "suggested_hardware", "license"):
        assert own[key] == written[key], key
    for front in (own, written):
        assert len(front["short_description"]) <= 60
        assert front["colorFrom"] in ("red", "yellow", "green", "blue", "indigo", "purple", "pink", "gray")
    assert (ROOT / "requirements.txt").read_text() == space.requirements("zero")
    assert (ROOT / "packages.txt").read_text().split() == list(space.PACKAGES)
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    names = [line.split(">")[0] for line in wanted]
    assert [line.split(">")[0] for line in space.requirements("zero").splitlines()] == [*names, "spaces"]


def test_an_installed_package_asks_for_the_same(monkeypatch, no_variable):
    """Without pyproject.toml beside it, and in the order of a wheel's metadata."""
    wanted = ["torch<2.14,>=2.11", "numpy>=2.0", "torchvision>=1", 'ray>=2.50; extra == "ray"']
    monkeypatch.setattr(space.Path, "is_file", lambda self: False)
    monkeypatch.setattr(space.metadata, "requires", lambda name: wanted)
    assert space.requirements("zero").split("\n") == [space.TORCH, *wanted[1:3], space.ZERO, ""]


def test_pinned_weights_are_loaded_when_the_space_is_built(monkeypatch, tmp_path):
    monkeypatch.setenv("ESPCN_WEIGHTS", f"hf://a/b@{COMMIT}/w.safetensors")
    front = front_matter(space.card("zero"))
    assert front["preload_from_hub"] == [f"a/b w.safetensors,w.json {COMMIT}"]
    assert front["models"] == ["a/b"]
    report = space.publish("owner/name", hardware="zero", dry_run=tmp_path / "hub")
    assert report.text().endswith(f"set the Space's variable ESPCN_WEIGHTS to hf://a/b@{COMMIT}/w.safetensors")
    monkeypatch.setenv("ESPCN_WEIGHTS", "espcn_x2_compressed")
    report = space.publish("owner/name", hardware="zero", dry_run=tmp_path / "bundled")
    assert report.weights == "espcn_x2_compressed" and "preload" not in (tmp_path / "bundled" / "README.md").read_text()
    monkeypatch.setenv("ESPCN_WEIGHTS", "mine.safetensors")
    with pytest.raises(InputError, match="a file of this machine"):
        space.publish("owner/name", hardware="zero", dry_run=tmp_path / "x")
    monkeypatch.setenv("ESPCN_WEIGHTS", "hf://a/b@main/w.safetensors")
    with pytest.raises(InputError, match="name a commit"):
        space.publish("owner/name", hardware="zero", dry_run=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_wrong_options_are_sentences(tmp_path, no_variable):
    with pytest.raises(InputError, match="hardware 'tpu'"):
        space.publish("owner/name", hardware="tpu", dry_run=tmp_path / "x")
    for name in ("name", "a/b/c", "/b", "a/", "../x", "a/-b"):
        with pytest.raises(InputError, match="owner/name"):
            space.publish(name, dry_run=tmp_path / "x")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    with pytest.raises(InputError, match="not an empty folder"):
        space.publish("owner/name", hardware="zero", dry_run=tmp_path / "full")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


PUBLISH = """
import sys
from espcn_demo.errors import InputError
from espcn_demo.space import publish
try:
    print(publish("owner/name", hardware="l4").url)
except InputError as error:
    sys.exit(str(error))
"""


def publish(hub, tmp_path, **environment):
    given = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ESPCN_"))},
        "HF_ENDPOINT": hub.endpoint,
        "HF_HOME": str(tmp_path),
        "HF_TOKEN": "hf_made_up",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        **environment,
    }
    return subprocess.run([sys.executable, "-c", PUBLISH], env=given, capture_output=True, text=True, cwd=ROOT)


@pytest.mark.slow
def test_an_upload_goes_to_the_hub_whole(tmp_path):
    with StandInHub() as hub:
        done = publish(hub, tmp_path, ESPCN_WEIGHTS="espcn_x2_compressed")
        assert done.returncode == 0, done.stderr
        (variable,) = hub.variables
        assert (variable["key"], variable["value"]) == ("ESPCN_WEIGHTS", "espcn_x2_compressed")
        (created,) = hub.created
        assert (created["name"], created["type"], created["sdk"]) == ("name", "space", "gradio")
        assert created["hardware"] == "l4x1"
        uploaded = {line["value"]["path"] for commit in hub.commits for line in commit if line["key"] == "file"}
        assert {"README.md", "app.py", "requirements.txt", "weights/espcn_x2.safetensors"} <= uploaded
        assert "hf_made_up" not in json.dumps(hub.commits)
        hub.mood = "hang"


@pytest.mark.slow
def test_a_hub_that_refuses_is_one_sentence(tmp_path):
    hub = StandInHub()
    hub.__enter__()
    hub.refuse()
    done = publish(hub, tmp_path)
    assert done.returncode == 1
    assert "cannot be reached" in done.stderr and "Traceback" not in done.stderr
