"""Weights from the Hub: the real client, in a process of its own, against a loopback stand-in that misbehaves."""

import hashlib
import json
import os
import pickle
import re
import subprocess
import sys

import pytest

from espcn_demo import weights as bundled_weights
from espcn_demo.errors import WeightsError
from espcn_demo.hub import Address

from .stand_in_hub import COMMIT, StandInHub

NAME = "espcn_x2.safetensors"
RESOLVE = """
import json, os, sys, time
import torch, huggingface_hub  # what a page has imported anyway; the time below is the Hub's
from espcn_demo import weights
answers = []
for address in sys.argv[1:]:
    os.environ.pop("ESPCN_WEIGHTS", None)
    if address.startswith("ESPCN_WEIGHTS="):
        os.environ["ESPCN_WEIGHTS"], address = address.removeprefix("ESPCN_WEIGHTS="), None
    began = time.monotonic()
    try:
        found = weights.resolve(address)
        answer = {"name": found.name, "reason": found.reason, "sha256": found.sha256, "path": str(found.path)}
    except weights.WeightsError as error:
        answer = {"error": str(error)}
    answers.append({**answer, "seconds": time.monotonic() - began})
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def files():
    folder = bundled_weights.folder()
    return {NAME: (folder / NAME).read_bytes(), "espcn_x2.json": (folder / "espcn_x2.json").read_bytes()}


@pytest.fixture
def hub(files):
    with StandInHub(dict(files)) as hub:
        yield hub


@pytest.fixture
def resolve(hub, tmp_path):
    """Resolve addresses, or the variable's, in a new process; returns what each gave."""

    def run(*addresses, **environment):
        given = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ESPCN_"))},
            "HF_ENDPOINT": hub.endpoint,
            "HF_HOME": str(tmp_path / "home"),
            "HF_HUB_DISABLE_XET": "1",
            **environment,
        }
        done = subprocess.run([sys.executable, "-c", RESOLVE, *addresses], env=given, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def variable(address):
    return f"ESPCN_WEIGHTS={address}"


def at(repository):
    return f"hf://owner/{repository}@{COMMIT}/{NAME}"


def test_pinned_weights_come_once_and_then_from_the_cache(hub, resolve):
    nothing, first, again, default, unpinned = resolve(
        variable(""), at("name"), at("name"), variable(at("name")), f"hf://owner/other/{NAME}"
    )
    assert nothing["reason"] == "bundled default"
    assert first["reason"] == f"asked for: owner/name at commit {COMMIT[:12]}, downloaded"
    assert again["reason"] == f"asked for: owner/name at commit {COMMIT[:12]}, from the cache"
    assert default["reason"] == f"set by ESPCN_WEIGHTS: owner/name at commit {COMMIT[:12]}, from the cache"
    assert first["sha256"] == bundled_weights.resolve("espcn_x2").sha256
    # Nothing set, and a pinned revision that is cached, make no request at all: HEAD and GET of two files are the most.
    assert len([request for request in hub.requests if "/owner/name/" in request]) <= 5
    assert COMMIT[:12] in unpinned["reason"] and "pin it" in unpinned["reason"]


MOODS = {
    "missing": "has no espcn_x2",
    "no-repository": "no public repository",
    "no-revision": "has no revision",
    "private": "no public repository",
    "html": "damaged|not a weights card",
    "hang": "did not deliver",
}
SLOW_MOODS = {
    "slow": "did not deliver",
    "truncated": "did not deliver|cut short",
    "broken": "did not deliver|refused",
}


@pytest.mark.parametrize("moods", [MOODS, pytest.param(SLOW_MOODS, marks=pytest.mark.slow)], ids=["quick", "slow"])
def test_a_bad_hub_leads_to_the_bundled_weights(resolve, moods):
    for found, sentence in zip(resolve(*(variable(at(mood)) for mood in moods)), moods.values(), strict=True):
        _check_bundled(found, sentence)


@pytest.mark.slow
def test_the_command_line_pulls_lists_and_tells(hub, tmp_path):
    given = {**os.environ, "HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path), "HF_HUB_DISABLE_XET": "1"}
    given.pop("HF_HUB_OFFLINE", None)

    def run(*arguments):
        command = [sys.executable, "-m", "espcn_demo", "weights", *arguments]
        return subprocess.run(command, env=given, capture_output=True, text=True)

    pulled = run("pull", f"hf://owner/name/{NAME}", "--json")
    assert pulled.returncode == 0, pulled.stderr
    assert json.loads(pulled.stdout)["reason"].endswith("downloaded")
    hub.mood = "missing"
    listed = json.loads(run("list", "--json").stdout)
    assert "espcn_x2" in listed["bundled"] and listed["cached"] == [at("name")]
    assert "from the cache" in run("info", listed["cached"][0]).stdout
    refused = run("pull", "hf://owner/other/x.safetensors")
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "has no" in refused.stderr


@pytest.mark.slow
def test_what_was_asked_for_by_name_is_never_replaced(resolve):
    (explicit,) = resolve(at("hang"))
    assert "did not deliver" in explicit["error"]


@pytest.mark.slow
def test_a_refusing_hub_and_offline(hub, resolve):
    _check_bundled(*resolve(variable(at("name")), HF_HUB_OFFLINE="1"), "HF_HUB_OFFLINE is set|cannot be reached")
    hub.refuse()
    _check_bundled(*resolve(variable(at("name"))), "cannot be reached|did not deliver")


def _card(**changes):
    card = json.loads((bundled_weights.folder() / "espcn_x2.json").read_text())
    return json.dumps({**card, **changes}).encode()


def bad_files(files):
    data = files[NAME]
    flipped = data[:-1] + bytes([data[-1] ^ 1])
    pickled = pickle.dumps({"harm": os.getcwd})
    from safetensors.numpy import load, save

    reshaped = save({name: value[..., :1].copy() for name, value in load(data).items()})
    return {
        "hash": ({NAME: flipped}, "SHA-256 differs"),
        "shape": ({"espcn_x2.json": _card(dimensions={"channels": [1, 8, 4], "kernels": [3, 3]})}, "other dimensions"),
        "tensors": (
            {NAME: reshaped, "espcn_x2.json": _card(sha256=hashlib.sha256(reshaped).hexdigest())},
            "does not hold this network's tensors",
        ),
        "pickle": (
            {NAME: pickled, "espcn_x2.json": _card(sha256=hashlib.sha256(pickled).hexdigest())},
            "does not hold this network's tensors",
        ),
        "card": ({"espcn_x2.json": b"[1, 2"}, "not a weights card"),
        "size": ({NAME: bytes(65 * 2**20)}, "65 MiB"),
    }


@pytest.mark.slow
def test_bad_files_on_the_hub(hub, resolve, files):
    """Each kind of bad file has a folder of its own; also a damaged copy in the cache, which is downloaded again."""
    kinds = bad_files(files)
    for folder, (changed, _) in kinds.items():
        for name, data in {**files, **changed}.items():
            hub.files[f"{folder}/{name}"] = data
    addresses = [f"hf://owner/name@{COMMIT}/{folder}/{NAME}" for folder in kinds]
    *answers, by_variable = resolve(*addresses, variable(addresses[-2]))
    for (folder, (_, sentence)), answer in zip(kinds.items(), answers, strict=True):
        assert sentence in answer["error"], folder
    _check_bundled(by_variable, kinds["card"][1])


@pytest.mark.slow
def test_a_damaged_cache_is_repaired(resolve):
    (found,) = resolve(at("name"))
    with open(found["path"], "r+b") as file:
        file.truncate(1_000)
    (repaired,) = resolve(at("name"))
    assert repaired["reason"].endswith("downloaded")


def _check_bundled(found, reason):
    assert found["name"] == "espcn_x2"
    assert re.search(f"^bundled, because .*({reason})", found["reason"]), found["reason"]
    assert "127.0.0.1" not in found["reason"] and "secret" not in found["reason"]
    assert found["seconds"] < 15  # 5 on a quiet machine; the client gives up after 4


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://a/b/c.safetensors", ("a/b", None, "c.safetensors")),
        ("hf://a/b@v1.0/c.safetensors", ("a/b", "v1.0", "c.safetensors")),
        ("hf://a/b@refs/pr/1/c.safetensors", ("a/b", "refs", "pr/1/c.safetensors")),
        (f"hf://a/b@{COMMIT}/d/e/c.safetensors", ("a/b", COMMIT, "d/e/c.safetensors")),
    ],
)
def test_addresses(text, parts):
    address = Address.parse(text)
    assert (address.repository, address.revision, address.file) == parts
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        *("hf://a/c.safetensors", "hf://a/b", "hf://a/b/c.pt", "hf://a/b/c.bin", "https://a/b/c.safetensors"),
        *("hf://a/b/../../c.safetensors", "hf://a/b/..safetensors/../x.safetensors", "hf://a/b@/c.safetensors"),
        *("hf://a/b/c.safetensors\n", "hf://a/b/.hidden.safetensors", "hf://", "hf://a/b@c d/e.safetensors"),
    ],
)
def test_wrong_addresses(text):
    with pytest.raises(WeightsError):
        Address.parse(text)
