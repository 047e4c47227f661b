"""Pictures to files, under a temporary name until they are complete."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from espcn_demo.backends.machine import granted_cores
from espcn_demo.errors import InputError
from espcn_demo.files import written_beside
from espcn_demo.image.modes import to_srgb
from espcn_demo.image.picture import Picture
from espcn_demo.image.png import write_png
from espcn_demo.image.tiff import write_tiff
from espcn_demo.planes import over_white, to_depth

_SEGMENT = 65_000  # bytes of EXIF or XMP that one JPEG segment can hold, with room for its name
_INDEXED_CLEAR = 255  # the palette entry of transparent pixels in a GIF


@dataclass(frozen=True)
class Format:
    """What a file format can hold: bits a sample, the longest side, and metadata by the fields of Metadata."""

    name: str
    bits: int = 8
    side: int = 65_500
    alpha: bool = True
    keeps: tuple[str, ...] = ("exif", "icc", "xmp", "dpi")


_PNG = Format("PNG", bits=16, side=2**31 - 1)
_JPEG = Format("JPEG", alpha=False)
_WEBP = Format("WEBP", side=16_383, keeps=("exif", "icc", "xmp"))
_TIFF = Format("TIFF", bits=16, side=2**31 - 1)
_BMP = Format("BMP", alpha=False, keeps=("dpi",))
_GIF = Format("GIF", keeps=())
_AVIF = Format("AVIF", keeps=("exif", "icc", "xmp"))

WRITABLE = {
    ".png": _PNG,
    ".jpg": _JPEG,
    ".jpeg": _JPEG,
    ".webp": _WEBP,
    ".tif": _TIFF,
    ".tiff": _TIFF,
    ".bmp": _BMP,
    ".gif": _GIF,
    ".avif": _AVIF,
}

# Near the limit of what an eye can tell, full colour resolution; the fastest settings whose size is still sensible.
_OPTIONS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 95, "subsampling": 0},
    "WEBP": {"quality": 95, "method": 2, "exact": True},
    "AVIF": {"quality": 90, "subsampling": "4:4:4", "speed": 9, "max_threads": granted_cores()},
}
_WORDS = {"exif": "EXIF", "icc": "colour profile", "xmp": "XMP", "dpi": "resolution tag"}


def format_of(out: Path, *, width: int = 1, height: int = 1) -> Format:
    """The format that the suffix of `out` asks for.

    Raises:
        InputError: the suffix is none of WRITABLE, or the format cannot hold width x height pixels.
    """
    found = WRITABLE.get(out.suffix.lower())
    if found is None:
        raise InputError(f"{out.name}: no picture format ends in {out.suffix!r}; use {', '.join(WRITABLE)}.")
    if max(width, height) > found.side:
        raise InputError(f"{found.name} holds at most {found.side} pixels a side, not {width}x{height}: use PNG.")
    return found


def write_picture(picture: Picture, out: Path) -> tuple[str, ...]:
    """Write a picture in the format that the suffix of `out` asks for; PNG and TIFF are lossless and keep 16 bits.

    Returns what the format could not hold, as notes.

    Raises:
        InputError: the suffix is unknown, the picture too large for the format, or `out` cannot be written.
    """
    found = format_of(out, width=picture.width, height=picture.height)
    notes: list[str] = []
    picture = _fitted(picture, found, notes)
    with written_beside(out) as beside:
        if found is _PNG:
            write_png(picture, beside)
        elif found is _TIFF:
            write_tiff(picture, beside)
        else:
            _write_with_pillow(picture, beside, found)
    return tuple(notes)


def _fitted(picture: Picture, found: Format, notes: list[str]) -> Picture:
    """The part of a picture that the format can hold, with a note on each thing that is lost."""
    if picture.bits > found.bits:
        notes.append(f"{found.name} holds 8 bits a channel, not 16")
        alpha = None if picture.alpha is None else to_depth(picture.alpha, np.uint8)
        picture = replace(picture, colour=to_depth(picture.colour, np.uint8), alpha=alpha)
    if picture.alpha is not None and not found.alpha:
        notes.append(f"{found.name} holds no transparency: the picture is laid on white")
        picture = replace(picture, colour=over_white(picture.colour, picture.alpha), alpha=None)
    if found is _TIFF and picture.is_grey and picture.alpha is not None and picture.bits == 16:
        notes.append("16-bit grey with transparency is stored as colour, which more programs can read in a TIFF")
        picture = replace(picture, colour=np.repeat(picture.colour[..., None], 3, axis=2))
    if found is _GIF and not (picture.is_grey and picture.alpha is None):
        notes.append("GIF holds 256 colours: the others are approximated")
    metadata = picture.metadata
    if metadata.icc and "icc" not in found.keeps:
        notes.append(f"{found.name} holds no colour profile: the colours are converted to sRGB")
        if not picture.is_grey:
            converted = to_srgb(Image.fromarray(picture.colour), metadata.icc)
            picture = replace(picture, colour=np.asarray(converted))
        metadata = replace(metadata, icc=b"")
    empty: dict[str, Any] = {"exif": b"", "xmp": b"", "dpi": None}
    for field, nothing in empty.items():
        value = getattr(metadata, field)
        too_long = found is _JPEG and isinstance(value, bytes) and len(value) > _SEGMENT
        if value and (field not in found.keeps or too_long):
            notes.append(f"{found.name} cannot hold its {_WORDS[field]}")
            metadata = replace(metadata, **{field: nothing})
    return replace(picture, metadata=metadata)


def _write_with_pillow(picture: Picture, out: Path, found: Format) -> None:
    metadata = picture.metadata
    fields = {"exif": metadata.exif, "icc_profile": metadata.icc, "xmp": metadata.xmp, "dpi": metadata.dpi}
    options = {**_OPTIONS.get(found.name, {}), **{name: value for name, value in fields.items() if value}}
    image = Image.fromarray(picture.samples())
    if found is _GIF:
        image = _indexed(picture)
        options |= {} if picture.alpha is None else {"transparency": _INDEXED_CLEAR}
    try:
        image.save(out, found.name, **options)
    except ValueError as error:
        raise InputError(f"{found.name} cannot hold this picture ({error}): use PNG.") from error


def _indexed(picture: Picture) -> Image.Image:
    """A palette image; with transparency 255 colours, and pixels under half opaque become clear."""
    image = Image.fromarray(picture.colour)
    if picture.alpha is None:
        return image.quantize(256) if image.mode == "RGB" else image
    indexed = image.convert("RGB").quantize(_INDEXED_CLEAR)
    codes = np.asarray(indexed).copy()
    codes[picture.alpha < 128] = _INDEXED_CLEAR
    result = Image.frombytes("P", image.size, codes.tobytes())
    result.putpalette((indexed.getpalette() or [])[: 3 * _INDEXED_CLEAR] + [0, 0, 0])
    return result
