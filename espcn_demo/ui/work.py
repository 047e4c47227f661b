"""What the worker process does for the page's pictures: files in, files and plain facts out.

Nothing here imports Gradio; `engine` keeps the engines of the last few settings warm in the worker.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from . import previews, wording
from .compare import Side, Value, still

if TYPE_CHECKING:
    from ..image.picture import Picture
    from ..limits import Limits
    from ..measure import Measurement
    from ..upscaler import Upscaler
    from .work_clip import ClipSettings

Asked = TypeVar("Asked", "PictureSettings", "ClipSettings")
AUTOMATIC = "automatic"  # the choice of weights that follows the source
WARM = (1, 96, 128)  # frames, rows, columns: enough to compile the graph


@dataclass(frozen=True)
class PictureSettings:
    """What the Image tab asks for; see the fields of the same names in `fields`."""

    quality: str = "fast"
    measure: bool = False
    weights: str | None = None
    strip_location: bool = False


@dataclass(frozen=True)
class PictureResult:
    """One enlarged picture.

    left, right   what the compare component shows
    facts, notes  the readout
    scores        (method, PSNR in dB, SSIM), empty unless measured
    download      the full-quality file
    """

    left: tuple[Side, ...]
    right: Side
    width: int
    height: int
    facts: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    scores: tuple[tuple[str, float, float], ...]
    caption: str
    own: int
    download: Path
    status: str

    def shown(self, identity: str) -> Value:
        """What a tab shows of it, as plain values."""
        return {
            "compare": still(identity, self.left, self.right, width=self.width, height=self.height),
            "facts": wording.facts(self.facts, self.notes),
            "scores": wording.scores(self.scores, caption=self.caption, own=self.own) if self.scores else "",
            "download": {"path": str(self.download)},
            "status": self.status,
        }


@dataclass(frozen=True)
class PlainPicture:
    """One of several pictures: the file, and a small preview for the gallery."""

    download: Path
    preview: Path


@lru_cache(maxsize=4)
def engine(scale: int, weights: str | None, quality: str) -> Upscaler:
    """The engine for these settings, kept warm."""
    from ..upscaler import open_upscaler

    return open_upscaler(scale=scale, weights=weights, quality=quality)


def weights_note(chosen: str | None) -> tuple[str, ...]:
    """Why these weights serve, where the server's ESPCN_WEIGHTS has chosen them (or could not be followed)."""
    from ..weights import VARIABLE, resolve

    return () if chosen or not os.environ.get(VARIABLE) else (f"Weights: {resolve().reason}",)


def fitting(source: Path, settings: Asked) -> tuple[Asked, tuple[str, ...]]:
    """The settings with weights for this source where they are to be chosen, and the note that says which and why.

    Measured work shrinks the source first, which leaves little of its compression: the ordinary weights serve.
    """
    from ..suited import suited

    if settings.weights != AUTOMATIC:
        return settings, weights_note(settings.weights)
    if settings.measure:
        return replace(settings, weights=None), ()
    name, reason = suited(source)
    return replace(settings, weights=name), (f"Weights: {name} ({reason}).",)


def has_second(weights: str | None) -> bool:
    """Whether these weights have others for the second pass of 4x."""
    from ..weights import resolve, second_pass

    first = resolve(weights)
    return second_pass(first).sha256 != first.sha256


def warm() -> str:
    """Load the ordinary engine and run it once; its name."""
    import numpy as np

    one = engine(2, None, "fast")
    one.upscale(np.zeros(WARM, np.uint8))
    return one.name


def picture(source: Path, folder: Path, settings: PictureSettings, limits: Limits) -> PictureResult:
    """Enlarge one picture by two for the Image tab, or measure on it.

    Raises:
        InputError: it cannot be read, or is beyond the limits.
    """
    from ..image import measure_picture, read_picture, upscale_picture

    began = time.perf_counter()
    original = read_picture(source, limits=limits)
    settings, chosen = fitting(source, settings)
    upscaler = engine(2, settings.weights, settings.quality)
    small = previews.shrunk(original, 2) if settings.measure else original
    target = folder / _name(source, original, 2)
    worked = time.perf_counter()
    large = upscale_picture(small, upscaler)
    seconds = time.perf_counter() - worked
    with ThreadPoolExecutor() as pool:  # each of them leaves Python for most of its time
        written = pool.submit(_write, large, target, settings)
        result = pool.submit(previews.picture_side, "ESPCN 2×", large, folder / "result.jpg")
        difference = None if settings.measure else pool.submit(previews.difference, small, large)
        sides = previews.sides(small, large, folder)
    large = written.result()
    scores: tuple[tuple[str, float, float], ...] = ()
    if settings.measure:
        sides = (*sides, previews.picture_side("Original", previews.cropped(original, 2), folder / "original.jpg"))
        scores = table(measure_picture(original, upscaler))
    facts = [
        ("Size", f"{small.width}×{small.height} → {large.width}×{large.height}"),
        ("Network", f"{seconds:.2f} s"),
        ("In all", f"{time.perf_counter() - began:.2f} s"),
        ("Speed", f"{small.width * small.height / 1e6 / max(seconds, 1e-6):.1f} MP/s"),
        ("Engine", upscaler.name),
    ]
    notes = [f"Engine: {upscaler.reason}.", *chosen]
    notes += [f"Note: {note}." for note in large.notes]
    if difference is not None:
        notes.insert(0, difference.result())
    return PictureResult(
        left=sides,
        right=result.result(),
        width=large.width,
        height=large.height,
        facts=tuple(facts),
        notes=tuple(notes),
        scores=scores,
        caption="Shrunk by two, restored, and compared with the original (luma)",
        own=1,
        download=target,
        status="Measured." if settings.measure else "Done.",
    )


def table(measured: Measurement) -> tuple[tuple[str, float, float], ...]:
    """The rows of the table of scores."""
    return tuple((wording.METHOD_NAMES[one.method], one.psnr, one.ssim) for one in measured.scores)


def plain_picture(source: Path, folder: Path, settings: PictureSettings, limits: Limits) -> PlainPicture:
    """Enlarge one of several pictures."""
    from ..image import read_picture, upscale_picture

    original = read_picture(source, limits=limits)
    settings, _ = fitting(source, settings)
    target = _free(folder / _name(source, original, 2))
    upscaler = engine(2, settings.weights, settings.quality)
    large = _write(upscale_picture(original, upscaler), target, settings)
    preview = target.with_name(f"preview-{target.stem}.jpg")
    previews.thumbnail(large, preview)
    return PlainPicture(target, preview)


def pack(files: Sequence[Path], folder: Path) -> Path:
    """A zip of finished pictures; they are compressed already."""
    from zipfile import ZIP_STORED, ZipFile

    target = folder / "pictures-2x.zip"
    with ZipFile(target, "w", ZIP_STORED) as archive:
        for file in files:
            archive.write(file, file.name)
    return target


def measure_file(source: Path, limits: Limits) -> dict[str, Any]:
    """PSNR and SSIM of a picture that was shrunk by two and restored, as plain values.

    Raises:
        InputError: it cannot be read, is too small, or beyond the limits.
    """
    from ..image import measure_picture, read_picture

    upscaler = engine(2, None, "fast")
    return measure_picture(read_picture(source, limits=limits), upscaler).as_dict() | {"backend": upscaler.name}


def _write(large: Picture, target: Path, settings: PictureSettings) -> Picture:
    """Write the download; returns the picture as written, with what writing it had to say among its notes."""
    from ..image import write_picture

    if settings.strip_location:
        large = replace(large, metadata=large.metadata.without_location())
    return replace(large, notes=(*large.notes, *write_picture(large, target)))


def _name(source: Path, original: Picture, scale: int) -> str:
    suffix = (
        source.suffix.lower()
        if source.suffix.lower() in (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
        else ".png"
    )
    return f"{source.stem[:60] or 'picture'}-{scale}x{suffix}"


def _free(path: Path) -> Path:
    """A name that no earlier picture of the job has taken."""
    number, free = 2, path
    while free.exists():
        free, number = path.with_stem(f"{path.stem}-{number}"), number + 1
    return free
