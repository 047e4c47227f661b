"""What a picture is, for `espcn probe`: clips and pictures are asked about with the same command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ..limits import GENEROUS, Limits

# Formats by Pillow's names that are taken for pictures; `image.read_picture` decides what of them it reads.
PICTURES = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF", "AVIF", "JPEG2000", "PPM", "PCX", "ICO", "QOI")


@dataclass(frozen=True)
class Still:
    """A picture: its size in pixels the right way up, bits of a sample, and what becomes of its properties."""

    format: str
    bytes: int
    width: int
    height: int
    bits: int
    channels: str
    result_width: int
    result_height: int
    kept: tuple[str, ...]
    converted: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the sentences, which stand beside them."""
        return {name: value for name, value in asdict(self).items() if name not in ("kept", "converted")}

    def headline(self) -> str:
        """One line for a person."""
        from .estimate import size

        return (
            f"{self.width}x{self.height} {self.format} picture, {self.channels}, {self.bits} bits, {size(self.bytes)}; "
            f"becomes {self.result_width}x{self.result_height}"
        )


def is_still(path: Path) -> bool:
    """Whether the file is a picture that does not move; only its first bytes and header are read."""
    from PIL import Image, UnidentifiedImageError

    if not path.is_file():
        return False
    try:
        with Image.open(path, formats=PICTURES) as image:
            return getattr(image, "n_frames", 1) == 1 or image.format not in ("GIF", "PNG")
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def read_still(path: Path, *, scale: int, limits: Limits | None = None) -> Still:
    """Read a picture as the work would.

    Raises:
        InputError: see `image.read_picture`.
    """
    from ..image.reading import read_picture

    picture = read_picture(path, limits=limits or GENEROUS)
    metadata = picture.metadata
    there = {"EXIF": metadata.exif, "The colour profile": metadata.icc, "XMP": metadata.xmp, "Resolution": metadata.dpi}
    kept = [f"{name}." for name, value in there.items() if value]
    kept += ["Transparency."] if picture.alpha is not None else []
    kept.append(f"{picture.bits} bits a sample (in PNG and TIFF)." if picture.bits == 16 else "8 bits a sample.")
    return Still(
        format=picture.format,
        bytes=path.stat().st_size,
        width=picture.width,
        height=picture.height,
        bits=picture.bits,
        channels=("grey" if picture.is_grey else "RGB") + (" with alpha" if picture.alpha is not None else ""),
        result_width=scale * picture.width,
        result_height=scale * picture.height,
        kept=tuple(kept),
        converted=tuple(f"{note[:1].upper()}{note[1:].removesuffix('.')}." for note in picture.notes),
    )
