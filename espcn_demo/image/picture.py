"""A decoded picture and what is known about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from espcn_demo.upscaler import Codes

_GPS = 34853  # the EXIF tag that points to the place of exposure


@dataclass(frozen=True)
class Metadata:
    """What travels from file to file, each empty or None when the source has none.

    exif   EXIF as bytes, as Pillow has it, without orientation, thumbnail and layout of the source
    icc    the ICC profile that the samples belong to
    xmp    the XMP packet
    dpi    dots per inch across and down
    """

    exif: bytes = b""
    icc: bytes = b""
    xmp: bytes = b""
    dpi: tuple[float, float] | None = None

    def without_location(self) -> Metadata:
        """The same without the place of exposure: no GPS in EXIF, and no XMP, which names places in many ways."""
        if not self.exif:
            return replace(self, xmp=b"")
        from PIL import Image

        exif = Image.Exif()
        exif.load(self.exif)
        if _GPS not in exif:
            return replace(self, xmp=b"")
        del exif[_GPS]
        return replace(self, exif=exif.tobytes(), xmp=b"")


@dataclass(frozen=True)
class Picture:
    """Samples the right way up, with metadata.

    colour    (H, W) grey or (H, W, 3) R'G'B', uint8 or uint16 with 255 or 65535 as white, alpha not multiplied in
    alpha     (H, W) of the same dtype, or None for a picture without transparency
    format    the file format it was read from, by Pillow's name
    notes     what had to be converted or left out, one sentence without a full stop each
    """

    colour: Codes
    alpha: Codes | None = None
    metadata: Metadata = Metadata()
    format: str = ""
    notes: tuple[str, ...] = ()

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.colour.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.colour.shape[0])

    @property
    def bits(self) -> int:
        """Bits of a sample: 8 or 16."""
        return 8 * self.colour.dtype.itemsize

    @property
    def is_grey(self) -> bool:
        """Whether it has one channel (and perhaps alpha)."""
        return self.colour.ndim == 2

    def samples(self) -> Codes:
        """All channels together: (H, W), or (H, W, C) with grey and alpha, R'G'B', or R'G'B' and alpha."""
        if self.alpha is None:
            return self.colour
        return np.dstack([self.colour, self.alpha])
