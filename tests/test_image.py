"""Pictures from file to file: formats, depths, transparency, orientation and metadata."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageCms
from stand_ins import Nearest

from espcn_demo.backends import open_backend
from espcn_demo.image import Metadata, Picture, read_picture, upscale_image, upscale_picture, write_picture
from espcn_demo.planes import to_depth

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6" a="1"/></x:xmpmeta>'


def full_exif() -> Image.Exif:
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.DateTime] = "2026:01:02 03:04:05"
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.IFD.Exif] = {ExifTags.Base.ExposureTime: 0.5, ExifTags.Base.ExifImageWidth: 128}
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSLatitudeRef: "N", ExifTags.GPS.GPSLatitude: (52.0, 30.0, 0.0)}
    return exif


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_lossless_formats_keep_every_sample(tmp_path, photo, suffix, alpha, grey, dtype):
    samples = to_depth(photo[:61, :83], np.uint16) + np.uint16(3) if dtype is np.uint16 else photo[:61, :83]
    matte = np.ascontiguousarray(samples[::-1, :, 2]) if alpha else None
    picture = Picture(samples[..., 0] if grey else samples, matte)
    notes = write_picture(picture, tmp_path / f"a{suffix}")
    back = read_picture(tmp_path / f"a{suffix}")
    as_colour = suffix != ".png" and grey and alpha and dtype is np.uint16
    assert len(notes) == as_colour and back.is_grey == (grey and not as_colour)
    np.testing.assert_array_equal(back.colour[..., 0] if as_colour else back.colour, picture.colour)
    assert back.bits == picture.bits
    if alpha:
        np.testing.assert_array_equal(back.alpha, matte)
    else:
        assert back.alpha is None
    with Image.open(tmp_path / f"a{suffix}") as seen_by_others:
        seen_by_others.load()
        assert seen_by_others.size == (83, 61)


@pytest.mark.parametrize(
    ("suffix", "tolerance"),
    [(".jpg", 3.0), (".jpeg", 3.0), (".webp", 3.0), (".avif", 4.0), (".bmp", 0.0), (".gif", 9.0)],
)
def test_other_formats_come_close(tmp_path, photo, suffix, tolerance):
    Image.fromarray(photo).save(tmp_path / "in.png")
    report = upscale_image(tmp_path / "in.png", tmp_path / f"out{suffix}", upscaler=Nearest())
    direct = upscale_picture(Picture(photo), Nearest())
    back = read_picture(tmp_path / f"out{suffix}")
    assert (back.width, back.height) == (report.width, report.height) == (256, 192)
    assert np.abs(back.colour.astype(int) - direct.colour).mean() <= tolerance
    assert report.bits == 8 and json.loads(json.dumps(report.as_dict()))["backend"] == "nearest"


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_orientation_is_applied_once(tmp_path, orientation, suffix):
    upright = np.zeros((40, 64, 3), np.uint8)
    upright[:20, :32], upright[:20, 32:], upright[20:, :32] = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    stored = Image.fromarray(upright)
    if orientation in undo:
        stored = stored.transpose(undo[orientation])
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    stored.save(tmp_path / f"in{suffix}", exif=exif)
    upscale_image(tmp_path / f"in{suffix}", tmp_path / "out.png", upscaler=Nearest())
    with Image.open(tmp_path / "out.png") as result:
        assert result.size == (128, 80)
        assert result.getexif().get(ExifTags.Base.Orientation, 1) == 1
        corners = [result.getpixel(at) for at in ((16, 16), (112, 16), (16, 64), (112, 64))]
    expected = [(200, 0, 0), (0, 200, 0), (0, 0, 200), (0, 0, 0)]
    assert np.abs(np.subtract(corners, expected)).max() <= 6


def test_orientation_of_sixteen_bit_tiff(tmp_path, photo):
    import tifffile

    deep = to_depth(photo, np.uint16)
    stored = np.ascontiguousarray(np.rot90(deep, 1))
    tifffile.imwrite(tmp_path / "in.tif", stored, photometric="rgb", extratags=[(274, 3, 1, 6, True)])
    np.testing.assert_array_equal(read_picture(tmp_path / "in.tif").colour, deep)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
@pytest.mark.parametrize("deep", [False, True])
def test_metadata_is_kept(tmp_path, photo, suffix, deep):
    first = tmp_path / "in.jpg"
    Image.fromarray(photo).save(first, exif=full_exif(), icc_profile=SRGB, dpi=(240, 240), xmp=XMP)
    picture = upscale_picture(read_picture(first), Nearest())
    if deep:
        picture = Picture(to_depth(picture.colour, np.uint16), None, picture.metadata)
    write_picture(picture, tmp_path / f"out{suffix}")
    with Image.open(tmp_path / f"out{suffix}") as result:
        assert result.size == (192, 256)  # turned
        assert result.info["icc_profile"] == SRGB
        exif = result.getexif()
        assert exif[ExifTags.Base.Make] == "Maker"
        assert ExifTags.Base.Orientation not in exif
        assert exif.get_ifd(ExifTags.IFD.Exif) == {ExifTags.Base.ExposureTime: 0.5}
        assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] == (52.0, 30.0, 0.0)
        if suffix in (".jpg", ".png", ".tif"):
            assert np.allclose([float(value) for value in result.info["dpi"]], 240, atol=0.1)
    xmp = read_picture(tmp_path / f"out{suffix}").metadata.xmp
    assert b'a="1"' in xmp and b"Orientation" not in xmp


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".avif"])
def test_location_is_removed(tmp_path, photo, suffix):
    Image.fromarray(photo).save(tmp_path / "in.jpg", exif=full_exif(), xmp=b"<place/>")
    upscale_image(tmp_path / "in.jpg", tmp_path / f"out{suffix}", upscaler=Nearest(), strip_location=True)
    with Image.open(tmp_path / f"out{suffix}") as result:
        assert not result.getexif().get_ifd(ExifTags.IFD.GPSInfo)
        assert result.getexif()[ExifTags.Base.Make] == "Maker"
    assert b"<place/>" not in (tmp_path / f"out{suffix}").read_bytes()


def test_losses_are_said(tmp_path, photo):
    deep = Picture(to_depth(photo, np.uint16), np.full(photo.shape[:2], 9000, np.uint16), Metadata(icc=SRGB, xmp=XMP))
    said = " / ".join(write_picture(deep, tmp_path / "a.bmp"))
    for word in ("8 bits", "white", "sRGB", "XMP"):
        assert word in said
    assert "256 colours" in " ".join(write_picture(Picture(photo), tmp_path / "a.gif"))


@pytest.mark.parametrize(
    ("mode", "said", "grey", "alpha"),
    [
        ("1", "black and white", True, False),
        ("P", "palette", False, False),
        ("PA", "palette", False, True),
        ("CMYK", "CMYK", False, False),
        ("LAB", "Lab", False, False),
        ("LA", None, True, True),
        ("I;16", None, True, False),
        ("I", None, True, False),
        ("F", "stretched", True, False),
    ],
)
def test_odd_modes(tmp_path, photo, mode, said, grey, alpha):
    image = Image.fromarray(photo)
    if mode == "LAB":
        to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
        image = ImageCms.applyTransform(image, to_lab)
    elif mode == "I;16":
        image = Image.fromarray(photo[..., 0].astype(np.uint16) * 255)
    elif mode == "PA":
        image = image.quantize(64)
        image.info["transparency"] = 3
    elif mode in ("I", "F"):
        image = image.convert("L").convert(mode)
    else:
        image = image.convert(mode)
    name = "in.png" if mode == "PA" else "in.tif"
    image.save(tmp_path / name)
    picture = read_picture(tmp_path / name)
    assert picture.is_grey == grey and (picture.alpha is not None) == alpha
    assert (said in " ".join(picture.notes)) if said else not picture.notes
    expected = photo if not grey else np.asarray(image.convert("L")) if mode in ("1", "LA") else None
    if expected is not None and mode not in ("P", "PA"):
        assert np.abs(picture.colour.astype(int) - expected).mean() < 4


def test_only_the_first_frame_and_said_so(tmp_path, photo):
    frames = [Image.fromarray(photo[:, :, channel]) for channel in range(3)]
    frames[0].save(tmp_path / "in.gif", save_all=True, append_images=frames[1:])
    picture = read_picture(tmp_path / "in.gif")
    assert "first of its 3 pictures" in picture.notes[0]
    np.testing.assert_array_equal(picture.colour, photo[:, :, 0])


def test_grey_stays_grey(tmp_path, photo):
    Image.fromarray(photo[..., 1]).save(tmp_path / "in.jpg", quality=95)
    upscale_image(tmp_path / "in.jpg", tmp_path / "out.jpg", upscaler=Nearest())
    with Image.open(tmp_path / "out.jpg") as result:
        assert result.mode == "L" and result.size == (256, 192)


def test_no_dark_fringe_around_transparent_parts(weights):
    """A light disc on black that is hidden: laid on its own colour, the edge must not get darker."""
    y, x = np.mgrid[:64, :64]
    inside = np.hypot(y - 31.5, x - 31.5)
    alpha = (np.clip(24.5 - inside, 0, 1) * 255).astype(np.uint8)
    colour = np.where(alpha[..., None] > 0, np.array([230, 220, 200]), 0).astype(np.uint8)
    result = upscale_picture(Picture(colour, alpha), open_backend("torch", weights, "float32"))
    share = result.alpha[..., None] / 255.0
    laid = result.colour * share + np.array([230, 220, 200]) * (1 - share)
    assert np.abs(laid - [230, 220, 200]).max() <= 3
    assert (result.alpha[:10] == 0).all() and (result.alpha[60:68, 60:68] == 255).all()
    assert len(np.unique(result.alpha)) > 20  # the edge is soft, so alpha went through the network


def test_four_times(tmp_path, photo):
    Image.fromarray(photo).save(tmp_path / "in.png")
    report = upscale_image(tmp_path / "in.png", tmp_path / "out.png", upscaler=Nearest(4))
    assert (report.width, report.height, report.scale) == (512, 384, 4)


def test_output_for_others_is_plain_png(tmp_path, photo):
    """Pillow and FFmpeg read the same 16-bit file, checksums included."""
    import av

    deep = to_depth(photo, np.uint16)
    write_picture(Picture(deep, metadata=Metadata(icc=SRGB, dpi=(72.0, 72.0))), tmp_path / "a.png")
    frame = av.CodecContext.create("png", "r").decode(av.Packet((tmp_path / "a.png").read_bytes()))[0]
    assert frame.format.name == "rgb48be"
    with Image.open(io.BytesIO((tmp_path / "a.png").read_bytes())) as image:
        image.verify()


def test_memory_stays_near_the_size_of_the_result(tmp_path, photo, monkeypatch):
    """Little more than the result and its luma, so that 100 megapixels enlarge in under 6 GiB (2.4 GiB measured)."""
    import tracemalloc

    monkeypatch.setattr("espcn_demo.planes._STRIP", 1 << 14)  # strips in flight do not grow with the picture
    monkeypatch.setattr("espcn_demo.image.png._STRIP_BYTES", 1 << 16)
    large = np.tile(photo, (10, 8, 1))
    tracemalloc.start()
    try:
        result = upscale_picture(Picture(large), Nearest())
        write_picture(result, tmp_path / "out.png")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1.7 * result.colour.nbytes + 3e6
