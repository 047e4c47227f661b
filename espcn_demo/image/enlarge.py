"""One picture, from file to file: luma and alpha through the network, colours bicubically, metadata kept."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from espcn_demo.errors import InputError
from espcn_demo.files import check_output
from espcn_demo.image.picture import Picture
from espcn_demo.image.reading import read_picture
from espcn_demo.image.writing import format_of, write_picture
from espcn_demo.limits import GENEROUS, Limits
from espcn_demo.planes import add_colour, clamp_matte, fill_hidden, luma_of
from espcn_demo.tiling import upscale_plane
from espcn_demo.upscaler import Codes, Upscaler, open_upscaler

Progress = Callable[[float], None]

# Bytes held at the peak for each byte of the result: the result, its luma and the copy that Pillow encodes.
_PEAK = 2.5


@dataclass(frozen=True)
class ImageReport:
    """What was done. Sizes are those of the result in pixels; `seconds` is wall-clock time from reading to writing."""

    input: str
    output: str
    width: int
    height: int
    scale: int
    backend: str
    reason: str
    seconds: float
    source_width: int
    source_height: int
    bits: int
    notes: tuple[str, ...] = ()

    @property
    def megapixels_per_second(self) -> float:
        """Source pixels a second, in millions."""
        return self.source_width * self.source_height / 1e6 / max(self.seconds, 1e-9)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**asdict(self), "notes": list(self.notes), "megapixels_per_second": self.megapixels_per_second}


def upscale_image(
    source: Path | str,
    out: Path | str,
    *,
    scale: int = 2,
    upscaler: Upscaler | None = None,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
    quality: str = "fast",
    strip_location: bool = False,
    limits: Limits | None = None,
    on_progress: Progress | None = None,
) -> ImageReport:
    """Enlarge the picture in `source` and write it to `out`, in the format of its suffix.

    Args:
        source: PNG, JPEG, WebP, TIFF, BMP, GIF (its first frame), AVIF and what else Pillow reads.
        out: .png, .jpg, .webp, .tif, .bmp, .gif or .avif; replaced when it exists, never left half written.
        scale: 2 or 4; with `upscaler` its own scale counts.
        upscaler: an open engine; by default `open_upscaler` with the options that follow.
        weights: a bundled name, a path or an hf:// address.
        backend: "auto" or one of the backends by name.
        precision: number format, by default the backend's choice.
        quality: "fast", or "best" for the average of 8 flips and rotations.
        strip_location: leave GPS and XMP out of the result.
        limits: largest accepted input, by default `limits.GENEROUS`.
        on_progress: called with the share done, 0 to 1.

    Raises:
        InputError: anything the caller can put right, in one sentence; nothing is left behind then.
    """
    started = time.perf_counter()
    source, out = Path(source), Path(out)
    format_of(out)
    check_output(source, out)
    picture = read_picture(source, limits=limits or GENEROUS)
    factor = scale if upscaler is None else upscaler.scale
    format_of(out, width=factor * picture.width, height=factor * picture.height)
    _check_memory(picture, factor)
    if upscaler is None:
        upscaler = open_upscaler(scale=scale, weights=weights, backend=backend, precision=precision, quality=quality)
    if strip_location:
        picture = replace(picture, metadata=picture.metadata.without_location())
    result = upscale_picture(picture, upscaler, on_progress=on_progress)
    notes = (*result.notes, *write_picture(result, out))
    return ImageReport(
        input=str(source),
        output=str(out),
        width=result.width,
        height=result.height,
        scale=upscaler.scale,
        backend=upscaler.name,
        reason=upscaler.reason,
        seconds=time.perf_counter() - started,
        source_width=picture.width,
        source_height=picture.height,
        bits=result.bits if format_of(out).bits == 16 else 8,
        notes=notes,
    )


def upscale_picture(picture: Picture, upscaler: Upscaler, *, on_progress: Progress | None = None) -> Picture:
    """Enlarge a picture by the engine's scale; dtype, channels and metadata stay.

    Colours under fully transparent pixels are first replaced by those of the nearest visible ones.
    """
    colour = picture.colour if picture.alpha is None else fill_hidden(picture.colour, picture.alpha)
    luma = colour if picture.is_grey else luma_of(colour)
    enlarged = upscale_plane(upscaler, luma, on_progress=on_progress)
    if not picture.is_grey:
        enlarged = add_colour(colour, luma, enlarged)
    alpha = None if picture.alpha is None else _enlarged_matte(picture.alpha, upscaler)
    return replace(picture, colour=enlarged, alpha=alpha)


def _enlarged_matte(alpha: Codes, upscaler: Upscaler) -> Codes:
    value = alpha.flat[0]
    if (alpha == value).all():  # an opaque picture with an alpha channel is common
        return np.full((upscaler.scale * alpha.shape[0], upscaler.scale * alpha.shape[1]), value, alpha.dtype)
    return clamp_matte(alpha, upscale_plane(upscaler, alpha))


def _check_memory(picture: Picture, scale: int) -> None:
    """Refuse what would end in the kernel killing the process, which leaves the user without a word."""
    available = _available_memory()
    channels = picture.colour.nbytes + (0 if picture.alpha is None else picture.alpha.nbytes)
    needed = _PEAK * scale * scale * channels
    if available is not None and needed > available:
        raise InputError(
            f"{scale}x of {picture.width}x{picture.height} pixels needs about {needed / 2**30:.1f} GiB of memory and "
            f"{available / 2**30:.1f} are free: use a smaller picture or scale."
        )


def _available_memory() -> int | None:
    """Bytes that can be had without swapping, as Linux tells; None elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")), None)
