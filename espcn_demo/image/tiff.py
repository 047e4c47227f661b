"""TIFF of 8 or 16 bits through tifffile, with the EXIF directories that tifffile does not know."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from PIL import Image

from espcn_demo.backends.machine import granted_cores
from espcn_demo.image.picture import Metadata, Picture

_EXIF_IFD, _GPS_IFD, _XMP = 34665, 34853, 700
# tifffile refuses to write pointers to directories. The numbers after them are free, so that the order stays right when
# the entries of these placeholders are filled in.
_FREE = 1
_HEAD = b"II\x2a\x00\x08\x00\x00\x00"  # little-endian, classic TIFF
_CLASSIC = 2**32 - 2**25  # bytes; tifffile changes to BigTIFF there, whose directories look different


def write_tiff(picture: Picture, out: Path) -> None:
    """Write a picture, deflated, with its ICC profile, EXIF, XMP and resolution."""
    import tifffile

    samples = picture.samples()
    directories = _directories(picture.metadata) if samples.nbytes < _CLASSIC else {}
    placeholders = [(tag + _FREE, 4, 1, 0, True) for tag in directories]
    tifffile.imwrite(
        out,
        samples,
        byteorder="<",
        bigtiff=samples.nbytes >= _CLASSIC,
        photometric="minisblack" if picture.is_grey else "rgb",
        planarconfig=None if samples.ndim == 2 else "contig",
        extrasamples=None if picture.alpha is None else ["unassalpha"],
        compression="zlib",
        compressionargs={"level": 1},
        rowsperstrip=max(1, (1 << 20) // samples[0].nbytes),
        metadata=None,
        software=False,
        iccprofile=picture.metadata.icc or None,
        resolution=picture.metadata.dpi,
        resolutionunit="INCH" if picture.metadata.dpi else None,
        extratags=[*_plain_tags(picture.metadata), *placeholders],
        maxworkers=granted_cores(),
    )
    if directories:
        _append(out, directories)


def _exif(metadata: Metadata) -> Image.Exif:
    exif = Image.Exif()
    exif.load(metadata.exif)
    return exif


def _plain_tags(metadata: Metadata) -> list[tuple[int, int, int, Any, bool]]:
    """The descriptive EXIF tags that are text, and XMP, as tifffile takes them."""
    found: list[tuple[int, int, int, Any, bool]] = []
    if metadata.xmp:
        found.append((_XMP, 1, len(metadata.xmp), metadata.xmp, True))
    for tag, value in _exif(metadata).items():
        if isinstance(value, str) and value.isascii():
            found.append((tag, 2, len(value) + 1, value, True))
        elif isinstance(value, bytes):
            found.append((tag, 1, len(value), value, True))
    return found


def _directories(metadata: Metadata) -> dict[int, dict[int, Any]]:
    exif = _exif(metadata)
    return {tag: values for tag in (_EXIF_IFD, _GPS_IFD) if (values := exif.get_ifd(tag))}


def _append(out: Path, directories: dict[int, dict[int, Any]]) -> None:
    """Put the directories behind the picture, and pointers to them where the placeholders are."""
    import tifffile
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    with tifffile.TiffFile(out) as tiff:
        entries = {tag: tiff.pages.first.tags[tag + _FREE].offset for tag in directories}
    with out.open("r+b") as file:
        for tag, values in directories.items():
            directory = ImageFileDirectory_v2(_HEAD, group=tag)
            directory.update(values)
            place = file.seek(0, os.SEEK_END)
            place += file.write(b"\0" * (place % 2))  # directories start on even bytes
            file.write(directory.tobytes(place))
            file.seek(entries[tag])
            file.write(struct.pack("<HHII", tag, 4, 1, place))  # one LONG
