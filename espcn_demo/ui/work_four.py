"""What the worker process does for the 4x tab: two passes, what each of them adds, and whether that is worth it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from math import isfinite, sqrt
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

import numpy as np

from . import previews
from .work import PictureResult, PictureSettings, engine, fitting, table
from .work_clip import ClipResult, ClipSettings, video

if TYPE_CHECKING:
    from ..image.picture import Picture
    from ..limits import Limits
    from ..upscaler import Upscaler

OWN = "ESPCN 4×"
NAIVE = "Naive chain"
ONCE = "2× then bicubic"
WORTH = 0.05  # dB; less cannot be seen
CLIP_SECONDS = 10.0  # of a clip are enlarged by four on the page


def four_picture(source: Path, folder: Path, settings: PictureSettings, limits: Limits) -> PictureResult:
    """Enlarge one picture by four, or measure on it.

    Raises:
        InputError: it cannot be read, or is beyond a quarter of the limit on pixels.
    """
    from ..image import read_picture, upscale_picture, write_picture

    began = time.perf_counter()
    original = read_picture(source, limits=replace(limits, pixels=max(1, limits.pixels // 4)))
    settings, chosen = fitting(source, settings)
    twice = engine(2, settings.weights, settings.quality)
    chain = engine(4, settings.weights, settings.quality)
    small = previews.shrunk(original, 4) if settings.measure else original
    target = folder / f"{source.stem[:60] or 'picture'}-4x.png"
    large = upscale_picture(small, chain)
    write_picture(large, target)
    middle = upscale_picture(small, twice)
    sides = [previews.plain_side(ONCE, middle, large.width, large.height, "bicubic", folder / "once.jpg")]
    if _has_second(settings.weights):
        naive = upscale_picture(middle, twice)
        sides.append(previews.picture_side(NAIVE, naive, folder / "naive.jpg"))
    sides += previews.sides(small, large, folder)
    scores: tuple[tuple[str, float, float], ...] = ()
    if settings.measure:
        sides.append(previews.picture_side("Original", previews.cropped(original, 4), folder / "original.jpg"))
        scores = _scores(original, twice, chain, second=_has_second(settings.weights))
        verdict = _measured_verdict(scores)
    else:
        verdict = _verdict(middle, large)
    return PictureResult(
        left=tuple(sides),
        right=previews.picture_side(OWN, large, folder / "result.jpg"),
        width=large.width,
        height=large.height,
        facts=(
            ("Size", f"{small.width}×{small.height} → {large.width}×{large.height}"),
            ("In all", f"{time.perf_counter() - began:.2f} s"),
            ("Engine", chain.name),
        ),
        notes=(verdict, *chosen, *(f"Note: {note}." for note in large.notes)),
        scores=scores,
        caption="Shrunk by four, restored, and compared with the original (luma)",
        own=1,
        download=target,
        status="Measured." if settings.measure else "Done.",
    )


def four_clip(
    source: Path,
    folder: Path,
    settings: PictureSettings,
    limits: Limits,
    on_progress: Callable[[object], None],
    cancelled: Event,
) -> ClipResult:
    """Enlarge a short clip by four.

    Raises:
        InputError: it cannot be read, or is beyond the limits.
    """
    wanted = ClipSettings(settings.quality, False, settings.weights, end=CLIP_SECONDS, scale=4)
    result = video(source, folder, wanted, limits, on_progress, cancelled)
    note = f"The first {CLIP_SECONDS:.0f} seconds at most; `espcn video --scale 4` enlarges whole clips."
    return replace(result, notes=(note, *result.notes))


def is_picture(source: Path) -> bool:
    """Whether Pillow knows the file's beginning, whatever its name says."""
    from PIL import Image

    try:
        with Image.open(source) as image:
            return not (image.format == "GIF" and getattr(image, "n_frames", 1) > 1)
    except Exception:
        return False  # Pillow's readers fail in many ways; the clip's reader then says what is wrong


def four(
    source: Path,
    folder: Path,
    settings: PictureSettings,
    limits: Limits,
    on_progress: Callable[[object], None],
    cancelled: Event,
) -> PictureResult | ClipResult:
    """A picture or a clip, by its content."""
    if is_picture(source):
        return four_picture(source, folder, settings, limits)
    return four_clip(source, folder, settings, limits, on_progress, cancelled)


def _has_second(weights: str | None) -> bool:
    from ..weights import resolve, second_pass

    first = resolve(weights)
    return second_pass(first).sha256 != first.sha256


def _scores(
    original: Picture, twice: Upscaler, chain: Upscaler, *, second: bool
) -> tuple[tuple[str, float, float], ...]:
    from ..degrade import resize, to_codes
    from ..image import measure_picture
    from ..metrics import psnr, ssim
    from ..tiling import upscale_plane

    measured = measure_picture(original, chain)
    white = int(np.iinfo(measured.original.dtype).max)
    middle = upscale_plane(twice, measured.shrunk, white=white)
    height, width = measured.original.shape
    enlarged = resize(np.asarray(middle, np.float32) / np.float32(white), width, height)
    planes = {ONCE: to_codes(enlarged, white)}
    if second:
        planes[NAIVE] = upscale_plane(twice, middle, white=white)
    extra = []
    for name, plane in planes.items():
        pair = (measured.original.astype(np.float32) / white, plane.astype(np.float32) / white)
        extra.append((name, psnr(*pair, border=4), ssim(*pair, border=4)))
    rows = table(measured)
    return ((OWN, *rows[0][1:]), *extra, *rows[1:])


def _measured_verdict(scores: tuple[tuple[str, float, float], ...]) -> str:
    found = {name: db for name, db, _ in scores}
    gain = found[OWN] - found[ONCE]
    if not isfinite(gain) or gain < WORTH:
        return (
            f"The second pass adds nothing here ({gain:+.2f} dB over the 2× result enlarged bicubically): "
            "take the 2× result, it is a quarter of the size."
        )
    return f"The second pass adds {gain:+.2f} dB to the 2× result enlarged bicubically."


def _verdict(middle: Picture, large: Picture) -> str:
    from ..measure import difference_from_bicubic

    apart = difference_from_bicubic(middle, large)
    percent = 100 * sqrt(10 ** (-apart / 10)) if isfinite(apart) else 0.0
    if percent < 0.4:
        return (
            f"4× differs from the 2× result enlarged bicubically by only {percent:.2f} % (root mean square): "
            "the second pass adds next to nothing here, so take the 2× result."
        )
    return (
        f"4× differs from the 2× result enlarged bicubically by {percent:.2f} % (root mean square). "
        "Switch on Measure to see whether that is a gain."
    )
