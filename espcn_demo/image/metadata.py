"""Metadata out of a file that Pillow has opened: only what stays true of an enlarged, upright picture."""

from __future__ import annotations

import re
from math import isfinite

from PIL import ExifTags, Image

from espcn_demo.image.picture import Metadata

# The descriptive tags of the main directory; the rest describes the layout of the source file.
_DESCRIPTIVE = (
    ExifTags.Base.ImageDescription,
    ExifTags.Base.Make,
    ExifTags.Base.Model,
    ExifTags.Base.Software,
    ExifTags.Base.DateTime,
    ExifTags.Base.Artist,
    ExifTags.Base.HostComputer,
    ExifTags.Base.Rating,
    ExifTags.Base.Copyright,
    ExifTags.Base.XPTitle,
    ExifTags.Base.XPComment,
    ExifTags.Base.XPAuthor,
    ExifTags.Base.XPKeywords,
    ExifTags.Base.XPSubject,
)
# In the EXIF directory: the old size, and a pointer into the old file.
_STALE = (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight, ExifTags.IFD.Interop)
_XMP_ORIENTATION = re.compile(rb'\s+tiff:Orientation="\d"|<tiff:Orientation>\d</tiff:Orientation>')


def read_metadata(image: Image.Image, notes: list[str]) -> Metadata:
    """The metadata of a loaded image; damaged EXIF is left out with a note."""
    return Metadata(_exif(image, notes), image.info.get("icc_profile") or b"", _xmp(image), _dpi(image))


def orientation_of(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8; 1 when there is none or it makes no sense."""
    try:
        value = image.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:
        # Pillow's reader of damaged EXIF fails in many ways; `read_metadata` says so in a note.
        return 1
    return value if value in range(1, 9) else 1


def _exif(image: Image.Image, notes: list[str]) -> bytes:
    try:
        source = image.getexif()
        kept = Image.Exif()
        for tag in _DESCRIPTIVE:
            if tag in source:
                kept[tag] = source[tag]
        for directory in (ExifTags.IFD.Exif, ExifTags.IFD.GPSInfo):
            values = {tag: value for tag, value in source.get_ifd(directory).items() if tag not in _STALE}
            if values:
                kept[directory] = values
        return kept.tobytes() if len(kept) else b""
    except Exception:
        # The same many ways; a picture is worth more than its damaged EXIF.
        notes.append("its EXIF is damaged and is left out")
        return b""


def _xmp(image: Image.Image) -> bytes:
    packet = image.info.get("xmp") or image.info.get("XML:com.adobe.xmp") or b""
    data = packet.encode() if isinstance(packet, str) else bytes(packet)
    return _XMP_ORIENTATION.sub(b"", data)


def _dpi(image: Image.Image) -> tuple[float, float] | None:
    try:
        across, down = (float(value) for value in image.info.get("dpi", ()))
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    return (across, down) if all(isfinite(value) and value > 0 for value in (across, down)) else None
