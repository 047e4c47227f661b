"""What can be wrong with a picture: one sentence, and nothing left behind."""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from stand_ins import Failing, Nearest

from espcn_demo import image as pictures
from espcn_demo.errors import InputError
from espcn_demo.image import enlarge, read_picture, upscale_image
from espcn_demo.limits import GENEROUS, Limits


@pytest.fixture
def photo_file(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "in.png")
    return tmp_path / "in.png"


def refused(source, out, match, **options):
    before = sorted(out.parent.iterdir()) if out.parent.is_dir() else []
    with pytest.raises(InputError, match=match) as caught:
        upscale_image(source, out, upscaler=Nearest(), **options)
    assert "\n" not in str(caught.value)
    assert (sorted(out.parent.iterdir()) if out.parent.is_dir() else []) == before


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".gif", ".bmp", ".avif"])
def test_truncated(tmp_path, photo, suffix):
    path = tmp_path / f"in{suffix}"
    Image.fromarray(photo).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, tmp_path / "out.png", "damaged or cut short|is not a picture")


@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_truncated_sixteen_bits(tmp_path, photo, suffix):
    path = tmp_path / f"in{suffix}"
    pictures.write_picture(pictures.Picture(photo.astype(np.uint16) * 257), path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    refused(path, tmp_path / "out.png", "damaged or cut short|is not a picture")


@pytest.mark.parametrize(
    ("content", "match"),
    [(b"", "is empty"), (b"not a picture at all", "is not a picture"), (b"\0\0\0\x18ftypheic" + bytes(40), "HEIF")],
)
def test_not_a_picture(tmp_path, content, match):
    (tmp_path / "in.png").write_bytes(content)
    refused(tmp_path / "in.png", tmp_path / "out.png", match)


def test_missing_and_folder(tmp_path):
    refused(tmp_path / "none.png", tmp_path / "out.png", "none.png does not exist")
    refused(tmp_path, tmp_path / "out.png", "is not a file")


def bomb(width: int, height: int) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(20_000, 20_000), (2_000_000_000, 2_000_000_000), (100_000, 5_001)])
def test_decompression_bombs_are_refused_by_their_header(tmp_path, size):
    (tmp_path / "in.png").write_bytes(bomb(*size))
    refused(tmp_path / "in.png", tmp_path / "out.png", "are accepted", limits=Limits())


def test_limits(photo_file, tmp_path):
    refused(photo_file, tmp_path / "out.png", "at most 5,000 are accepted", limits=replace(GENEROUS, pixels=5000))
    refused(photo_file, tmp_path / "out.png", "at most 100 are accepted", limits=replace(GENEROUS, bytes=100))


def test_output_is_checked_before_any_work(photo_file, tmp_path):
    refused(photo_file, tmp_path / "out.xyz", "no picture format ends in '.xyz'")
    refused(photo_file, tmp_path / "out", "no picture format ends in ''")
    refused(photo_file, tmp_path / "none" / "out.png", "does not exist: create it")
    refused(photo_file, photo_file, "is the input itself")
    os.link(photo_file, tmp_path / "link.png")
    refused(photo_file, tmp_path / "link.png", "is the input itself")
    (tmp_path / "dir.png").mkdir()
    refused(photo_file, tmp_path / "dir.png", "is a folder")


def test_unwritable_folder_is_noticed_before_any_work(photo_file, tmp_path, monkeypatch):
    def denied(*_args, **_options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("pathlib.Path.touch", denied)  # the superuser, as whom tests may run, can write anywhere
    with pytest.raises(InputError, match=r"out.png cannot be written: Permission denied"):
        upscale_image(photo_file, tmp_path / "out.png", upscaler=Failing(AssertionError("too late")))


def test_write_failures_leave_nothing(photo_file, tmp_path, monkeypatch):
    def full(*_args, **_options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("espcn_demo.image.writing.write_png", full)
    refused(photo_file, tmp_path / "out.png", "No space left on device")


def test_interruption_leaves_nothing_and_keeps_the_old_result(photo_file, tmp_path, monkeypatch):
    (tmp_path / "out.png").write_bytes(b"old")

    def interrupted(_picture, path):
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("espcn_demo.image.writing.write_png", interrupted)
    with pytest.raises(KeyboardInterrupt):
        upscale_image(photo_file, tmp_path / "out.png", upscaler=Nearest())
    assert (tmp_path / "out.png").read_bytes() == b"old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "out.png"]


def test_defects_are_not_disguised(photo_file, tmp_path):
    with pytest.raises(ZeroDivisionError):
        upscale_image(photo_file, tmp_path / "out.png", upscaler=Failing(ZeroDivisionError()))


def test_sides_too_long_for_the_format(tmp_path):
    Image.new("L", (9000, 2)).save(tmp_path / "in.png")
    refused(tmp_path / "in.png", tmp_path / "out.webp", "WEBP holds at most 16383 pixels a side")
    upscale_image(tmp_path / "in.png", tmp_path / "out.png", upscaler=Nearest())


def test_too_little_memory_is_said_beforehand(photo_file, tmp_path, monkeypatch):
    monkeypatch.setattr(enlarge, "_available_memory", lambda: 1000)
    refused(photo_file, tmp_path / "out.png", "GiB of memory")


@pytest.mark.parametrize("size", [(1, 1), (4000, 1), (1, 300), (3, 2)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_tiny_and_thin_pictures(tmp_path, size, mode):
    Image.new(mode, size, 77).save(tmp_path / "in.png")
    report = upscale_image(tmp_path / "in.png", tmp_path / "out.png", upscaler=Nearest())
    assert (report.width, report.height) == (2 * size[0], 2 * size[1])
    assert read_picture(tmp_path / "out.png").width == 2 * size[0]


def test_damaged_exif_costs_only_the_exif(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "in.jpg", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + b"\x87\x69" * 40)
    picture = read_picture(tmp_path / "in.jpg")
    assert picture.colour.shape == photo.shape
