"""The command line as scripts meet it: exit codes, one JSON object, one sentence, nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import av
import numpy as np
import pytest
from PIL import Image

from espcn_demo.cli import main
from tests.conftest import ROOT


def run(*words, capsys):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_picture(tmp_path, photo, capsys):
    Image.fromarray(photo).save(tmp_path / "in.png")
    code, out, err = run("image", tmp_path / "in.png", tmp_path / "out.png", "--json", capsys=capsys)
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert {"input", "output", "width", "height", "scale", "backend", "seconds"} <= set(report)
    assert (report["width"], report["height"], report["scale"]) == (256, 192, 2)
    with Image.open(tmp_path / "out.png") as result:
        assert result.size == (256, 192)


def test_four_times_and_best(tmp_path, photo, capsys):
    Image.fromarray(photo[:24, :32]).save(tmp_path / "in.png")
    words = ("image", tmp_path / "in.png", tmp_path / "out.png", "--scale", 4, "--quality", "best")
    code, out, _ = run(*words, capsys=capsys)
    assert code == 0 and "128x96" in out and "8-fold" in out


def test_a_folder_of_pictures_goes_on_past_a_bad_one(tmp_path, photo, capsys):
    source = tmp_path / "in"
    (source / "deep").mkdir(parents=True)
    Image.fromarray(photo[:16, :16]).save(source / "deep" / "good.png")
    (source / "bad.png").write_text("no picture")
    (source / "notes.txt").write_text("not for us")
    code, out, err = run("image", source, tmp_path / "out", "--json", capsys=capsys)
    report = json.loads(out)
    assert code == 2 and len(err.splitlines()) == 1 and "bad.png" in err
    assert [len(report["files"]), len(report["failed"]), report["skipped"]] == [1, 1, 1]
    assert [p.name for p in (tmp_path / "out").rglob("*.*")] == ["good.png"]


def test_a_clip(tmp_path, make_clip, capsys):
    clip = make_clip(tmp_path / "in.mp4", frames=8)
    code, out, err = run("video", clip, tmp_path / "out.mp4", "--json", capsys=capsys)
    report = json.loads(out)
    assert (code, err) == (0, "")
    assert {"frames", "duration", "fps", "stages", "audio", "width", "height", "backend"} <= set(report)
    assert (report["frames"], report["width"], report["height"], report["audio"]) == (8, 128, 96, "copied")
    assert {"decode", "upscale", "encode"} <= set(report["stages"])
    with av.open(str(tmp_path / "out.mp4")) as result:
        assert len(list(result.decode(video=0))) == 8 and len(result.streams.audio) == 1


@pytest.mark.parametrize(
    ("verb", "name", "content"),
    [
        ("image", "empty.png", b""),
        ("image", "text.png", b"hello, I am text"),
        ("video", "empty.mp4", b""),
        ("video", "text.mp4", b"hello, I am text" * 20),
        ("video", "list.mp4", b"#EXTM3U\nhttp://127.0.0.1:9/x.ts\n"),
    ],
)
def test_bad_input_gets_one_sentence_and_leaves_nothing(tmp_path, capsys, verb, name, content):
    source, out = tmp_path / name, tmp_path / f"out{os.path.splitext(name)[1]}"
    source.write_bytes(content)
    code, printed, err = run(verb, source, out, capsys=capsys)
    assert (code, printed) == (2, "")
    assert len(err.splitlines()) == 1 and err.startswith("espcn: ") and err.rstrip().endswith(".")
    assert sorted(tmp_path.iterdir()) == [source]


def test_other_mistakes_end_in_one_sentence_too(tmp_path, photo, capsys, make_clip):
    picture, clip = tmp_path / "in.png", make_clip(tmp_path / "in.mp4", frames=2, audio=False)
    Image.fromarray(photo[:8, :8]).save(picture)
    before = sorted(tmp_path.iterdir())
    for words in (
        ("image", picture, picture),
        ("image", picture, tmp_path / "no" / "out.png"),
        ("image", picture, tmp_path / "out.xyz"),
        ("image", tmp_path / "missing.png", tmp_path / "out.png"),
        ("image", picture, tmp_path / "out.png", "--weights", tmp_path / "none.safetensors"),
        ("image", picture, tmp_path / "out.png", "--backend", "tensorrt"),
        ("video", clip, clip),
        ("video", clip, tmp_path / "out.xyz"),
        ("video", clip, tmp_path / "out.mp4", "--start", "100"),
        ("video", clip, tmp_path / "out.mp4", "--crf", "99"),
        ("weights", "info", "--json", tmp_path / "none.safetensors"),
        ("bench", "--sizes", "big"),
    ):
        code, printed, err = run(*words, capsys=capsys)
        assert (code, printed, len(err.splitlines())) == (2, "", 1), words
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_clip_ends_with_130_and_leaves_nothing(tmp_path, make_clip, signum):
    clip = make_clip(tmp_path / "in.mp4", frames=400, size=(256, 192), audio=False)
    command = [sys.executable, "-m", "espcn_demo", "video", str(clip), str(tmp_path / "out.mp4"), "--quality", "best"]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    # The run is under way as soon as anything beside the clip exists.
    while len(list(tmp_path.iterdir())) == 1 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signum)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert err.strip().endswith("interrupted")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mp4"]


@pytest.mark.slow
def test_the_light_half_imports_without_the_heavy_libraries():
    blocked = "gradio", "av", "moviepy", "openvino", "huggingface_hub"
    script = (
        "import sys\n"
        f"sys.modules.update(dict.fromkeys({blocked!r}))\n"
        "import espcn_demo, espcn_demo.model, espcn_demo.weights, espcn_demo.backends, espcn_demo.degrade\n"
        "import espcn_demo.metrics, train.fit, train.evaluate\n"
        "from espcn_demo.upscaler import open_upscaler\n"
        "import numpy as np\n"
        "engine = open_upscaler()\n"
        "assert engine.name.startswith('torch'), engine.name\n"
        "assert engine.upscale(np.zeros((1, 4, 4), np.uint8)).shape == (1, 8, 8)\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, cwd=ROOT, timeout=240)


def test_constant_pictures_stay_constant(tmp_path, capsys):
    Image.fromarray(np.full((20, 20, 3), (200, 30, 90), np.uint8)).save(tmp_path / "in.png")
    run("image", tmp_path / "in.png", tmp_path / "out.png", capsys=capsys)
    with Image.open(tmp_path / "out.png") as image:
        result = np.asarray(image).astype(int)
    assert np.abs(result[12:-12, 12:-12] - (200, 30, 90)).max() <= 2
