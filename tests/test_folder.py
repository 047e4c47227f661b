"""Folders in, folders out."""

from __future__ import annotations

import json

import pytest
from PIL import Image
from stand_ins import Nearest

from espcn_demo.errors import InputError
from espcn_demo.folder import upscale_folder


@pytest.fixture
def album(tmp_path, photo):
    folder = tmp_path / "album"
    (folder / "deep" / "er").mkdir(parents=True)
    small = Image.fromarray(photo[:20, :30])
    small.save(folder / "a.png")
    small.save(folder / "deep" / "b.JPG")
    small.save(folder / "deep" / "er" / "c.ppm")
    (folder / "notes.txt").write_text("no picture")
    (folder / "deep" / "bad.png").write_text("no picture either")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def test_the_tree_is_mirrored(album, tmp_path):
    seen = []
    report = upscale_folder(album, tmp_path / "out", upscaler=Nearest(), on_file=lambda *args: seen.append(args))
    made = sorted(str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert made == ["a.png", "deep/b.JPG", "deep/er/c.ppm.png"]
    assert len(report.done) == 3 and report.skipped == 1
    assert [failure.input for failure in report.failed] == [str(album / "deep" / "bad.png")]
    assert "is not a picture" in report.failed[0].error
    assert [number for number, count, _ in seen] == [1, 2, 3, 4] and seen[0][1] == 4
    data = json.loads(json.dumps(report.as_dict()))
    assert data["files"][0]["width"] == 60 and data["failed"][0]["error"]


def test_output_inside_the_input_is_not_enlarged_again(album):
    for _ in range(2):
        report = upscale_folder(album, album / "out", upscaler=Nearest())
        assert len(report.done) == 3


def test_refusals(album, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for source, out, match in [
        (album, album, "is the input itself"),
        (album, tmp_path / "file", "is a file"),
        (album, tmp_path / "file" / "out", "cannot be made"),
        (tmp_path / "empty", tmp_path / "out", "holds no file"),
        (tmp_path / "file", tmp_path / "out", "is not a folder"),
    ]:
        if "cannot be made" in match:
            report = upscale_folder(source, out, upscaler=Nearest())
            assert not report.done and match in report.failed[0].error
            continue
        with pytest.raises(InputError, match=match):
            upscale_folder(source, out, upscaler=Nearest())
    assert not (tmp_path / "out").exists()
