"""Pillow's modes to grey or R'G'B' arrays, each conversion said in a note."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from espcn_demo.image.picture import Metadata
from espcn_demo.upscaler import Codes

_TRANSPARENT = {"L": "LA", "1": "LA", "RGB": "RGBA", "I;16": "I;16"}
_PLAIN = {"La": "LA", "RGBa": "RGBA", "RGBX": "RGB"}
_NAMES = {"CMYK": "CMYK inks", "LAB": "Lab colours", "YCbCr": "YCbCr colours", "HSV": "HSV colours"}


def to_arrays(image: Image.Image, notes: list[str]) -> tuple[Codes, Codes | None]:
    """A loaded image as (H, W) or (H, W, 3), uint8 or uint16, and alpha (H, W) or None."""
    if image.mode.startswith("I;16"):
        return np.asarray(image).astype(np.uint16), None
    if image.mode in ("I", "F"):
        return _squeezed(np.asarray(image), notes), None
    if image.mode in ("P", "PA"):
        plain = _without_palette(image)
        notes.append(f"its palette is enlarged as {'grey' if plain.mode.startswith('L') else 'true colour'}")
        return split(np.asarray(plain))
    if image.mode in _NAMES:
        notes.append(f"its {_NAMES[image.mode]} are converted to sRGB")
        return split(np.asarray(to_srgb(image)))
    if image.mode == "1":
        notes.append("its black and white is enlarged as grey")
        image = image.convert("L")
    if "transparency" in image.info:
        image = image.convert(_TRANSPARENT.get(image.mode, image.mode))
    return split(np.asarray(image.convert(_PLAIN.get(image.mode, image.mode))))


def split(samples: Codes) -> tuple[Codes, Codes | None]:
    """Interleaved channels to colour and alpha: 1 or 2 channels are grey, 3 or 4 R'G'B'."""
    if samples.ndim == 2:
        return samples, None
    channels = samples.shape[2]
    alpha = np.ascontiguousarray(samples[..., -1]) if channels in (2, 4) else None
    colour = samples[..., 0] if channels <= 2 else samples[..., :3]
    return np.ascontiguousarray(colour), alpha


def to_srgb(image: Image.Image, icc: bytes | None = None) -> Image.Image:
    """An image in the colours of its profile (by default its own) as sRGB; by formula without a usable one."""
    icc = icc or image.info.get("icc_profile") or b""
    target = ImageCms.createProfile("sRGB")
    try:
        source = ImageCms.createProfile("LAB") if image.mode == "LAB" else ImageCms.ImageCmsProfile(io.BytesIO(icc))
        converted = ImageCms.profileToProfile(image, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError):
        # No profile, or one that is damaged or belongs to other samples: Pillow's plain formula then.
        return image.convert("RGB")
    return converted or image.convert("RGB")


def fitting(metadata: Metadata, image: Image.Image) -> Metadata:
    """Metadata without a profile that no longer belongs to the samples, which `to_arrays` made sRGB."""
    return replace(metadata, icc=b"") if image.mode in _NAMES else metadata


def _without_palette(image: Image.Image) -> Image.Image:
    transparent = image.mode == "PA" or "transparency" in image.info
    image = image.convert("RGBA" if transparent else "RGB")
    colours = np.asarray(image)[..., :3]
    if (colours == colours[..., :1]).all():
        return image.convert("LA" if transparent else "L")
    return image


def _squeezed(values: NDArray[Any], notes: list[str]) -> Codes:
    """32-bit integers or floats as 16-bit grey: unchanged where they fit, floats in [0, 1] scaled, others stretched."""
    finite = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(finite.min()), float(finite.max())
    if values.dtype.kind == "i" and low >= 0 and high <= 65535:
        return finite.astype(np.uint16)
    if values.dtype.kind == "f" and low >= 0 and high <= 1:
        notes.append("its floating-point samples from 0 to 1 become 16 bits")
        return np.rint(finite * 65535).astype(np.uint16)
    notes.append(f"its samples from {low:g} to {high:g} are stretched to 16 bits")
    return np.rint((finite - low) * (65535 / ((high - low) or 1.0))).astype(np.uint16)
