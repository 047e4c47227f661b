"""Where the work goes: addresses, the sentences when it cannot, and the command line; no Ray."""

from __future__ import annotations

import socket
import sys
import threading
import time

import pytest

from espcn_demo.cluster import connect
from espcn_demo.cluster.run import Place, upscale_pictures, upscale_video
from espcn_demo.errors import InputError


@pytest.mark.parametrize(
    ("on", "expected"),
    [
        ("ray", connect.Address(None)),
        ("ray://10.0.0.5", connect.Address("10.0.0.5", 6379)),
        ("ray://10.0.0.5:7000", connect.Address("10.0.0.5", 7000)),
        ("ray://head.local:7000", connect.Address("head.local", 7000)),
        ("ray://[::1]:7000", connect.Address("::1", 7000)),
    ],
)
def test_addresses(on, expected, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert connect.parse(on) == expected and connect.is_remote(on)


def test_ray_alone_follows_the_environment(monkeypatch):
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.5:7000")
    assert connect.parse("ray") == connect.Address("10.0.0.5", 7000)
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert connect.parse("ray") == connect.Address(None)


@pytest.mark.parametrize("on", ["", "spark", "ray:/x", "ray://", "ray://a b", "ray://a:0", "ray://a:99999", "rays"])
def test_other_addresses_are_refused_in_one_sentence(on):
    with pytest.raises(InputError, match="is not understood: give local, ray or ray://HOST:PORT"):
        connect.is_remote(on)
    assert not connect.is_remote("local")


def test_without_ray_the_sentence_says_how_to_install_it(tmp_path, make_clip, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    clip = make_clip(tmp_path / "in.mp4", frames=2, audio=False)
    with pytest.raises(InputError, match=r"pip install 'espcn_demo\[ray\]'"):
        upscale_video(clip, tmp_path / "out.mp4", on="ray")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


def test_an_address_where_nobody_listens():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(
        InputError, match=rf"no Ray cluster can be reached at 127\.0\.0\.1:{port} \(connection refused\)"
    ):
        connect._knock(connect.Address("127.0.0.1", port))


def test_joining_takes_bounded_time():
    release = threading.Event()
    with pytest.raises(InputError, match="does not answer as a Ray cluster"):
        connect._within(0.05, release.wait, connect.Address("127.0.0.1", 1))
    release.set()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (
            "Version mismatch: The cluster was started with:\n    Ray: 2.50.0\n    Python: 3.11.2\n"
            "This process on node 10.0.0.1 was started with:\n    Ray: 2.60.0\n    Python: 3.11.2\n",
            "runs another version of Ray or Python than this machine (Ray 2.50.0, Python 3.11.2 there; Ray 2.60.0, ",
        ),
        ("RPC error: InvalidAuthToken: Authentication token is missing", "asks for its token: set RAY_AUTH_MODE=token"),
        ("Can't find a `node_ip_address.json` file", "run `ray start --address=h:1 --num-cpus=0` on it first"),
        ("boom\nmore", "cannot be joined: boom."),
    ],
)
def test_rays_own_errors_become_one_sentence(text, sentence):
    with pytest.raises(InputError) as caught:
        connect._within(5.0, lambda: (_ for _ in ()).throw(RuntimeError(text)), connect.Address("h", 1))
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [({"workers": 0}, "at least 1"), ({"worker_cpus": 0.0}, "positive number"), ({"worker_gpus": -1.0}, "positive")],
)
def test_places_that_cannot_be(options, sentence):
    with pytest.raises(InputError, match=sentence):
        Place(**options)


def test_what_is_wrong_with_the_input_is_said_before_ray_starts(tmp_path, make_clip):
    begin = time.monotonic()
    (tmp_path / "text.mp4").write_text("no clip")
    with pytest.raises(InputError, match="is not a video"):
        upscale_video(tmp_path / "text.mp4", tmp_path / "out.mp4", on="ray://127.0.0.1:1")
    with pytest.raises(InputError, match="is not a folder"):
        upscale_pictures(tmp_path / "text.mp4", tmp_path / "out", on="ray://127.0.0.1:1")
    assert "ray" not in sys.modules or time.monotonic() - begin < 60


@pytest.fixture
def calls(monkeypatch):
    """Calls of the cluster's functions with their options."""
    from espcn_demo import cluster

    found = {}

    def remember(name):
        def call(source, out, **options):
            found[name] = options
            raise InputError("that was all")

        return call

    for name in ("upscale_video", "upscale_clips", "upscale_pictures"):
        monkeypatch.setattr(cluster, name, remember(name))
    return found


@pytest.mark.parametrize(
    ("verb", "folder", "function"),
    [("video", False, "upscale_video"), ("video", True, "upscale_clips"), ("image", True, "upscale_pictures")],
)
def test_the_command_line_hands_over_its_options(tmp_path, calls, capsys, verb, folder, function):
    from espcn_demo.cli import main

    source = tmp_path / "in.mp4"
    source.mkdir() if folder else source.touch()
    where = ["--on", "ray://10.0.0.5:7000", "--workers", "3", "--worker-cpus", "2", "--worker-gpus", "0.5"]
    assert main([verb, str(source), str(tmp_path / "out.mp4"), *where, "--backend", "torch"]) == 2
    assert capsys.readouterr().err == "espcn: that was all\n"
    options = calls[function]
    assert (options["on"], options["workers"]) == ("ray://10.0.0.5:7000", 3)
    assert (options["worker_cpus"], options["worker_gpus"], options["backend"]) == (2.0, 0.5, "torch")


def test_a_folder_of_clips_leaves_the_codec_to_each_container(tmp_path, calls):
    from espcn_demo.cli import main

    main(["video", str(tmp_path), str(tmp_path / "out"), "--on", "ray"])
    assert calls["upscale_clips"]["codec"] is None


def test_one_picture_needs_no_cluster(tmp_path, capsys):
    from espcn_demo.cli import main

    (tmp_path / "in.png").touch()
    assert main(["image", str(tmp_path / "in.png"), str(tmp_path / "out.png"), "--on", "ray"]) == 2
    assert "is for folders of pictures" in capsys.readouterr().err
