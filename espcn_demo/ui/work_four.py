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

from . import clips, previews
from .compare import Side
from .work import PictureResult, PictureSettings, engine, fitting, has_second, table
from .work_clip import ClipResult, ClipSettings, matrix_of, video
from .work_measure import NAIVE, ONCE, measure_clip

if TYPE_CHECKING:
    from ..image.picture import Picture
    from ..limits import Limits
    from ..upscaler import Upscaler

OWN = "ESPCN 4×"
WORTH = 0.05  # dB; less cannot be seen
CLIP_SECONDS = 10.0  # of a clip are enlarged by four on the page
NAIVE_PIXELS = 100_000_000  # of a result, up to which the naive chain is shown too: it takes as long as the result
LOOKED_AT = 3  # frames on which a clip's verdict rests


def four_picture(source: Path, folder: Path, settings: PictureSettings, limits: Limits) -> PictureResult:
    """Enlarge one picture by four, or measure on it.

    Raises:
        InputError: it cannot be read, or is beyond a quarter of the limit on pixels.
    """
    from ..image import read_picture, upscale_picture, write_picture
    from ..measure import difference_from_bicubic

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
    if has_second(settings.weights):
        naive = upscale_picture(middle, twice)
        sides.append(previews.picture_side(NAIVE, naive, folder / "naive.jpg"))
    sides += previews.sides(small, large, folder)
    scores: tuple[tuple[str, float, float], ...] = ()
    if settings.measure:
        sides.append(previews.picture_side("Original", previews.cropped(original, 4), folder / "original.jpg"))
        scores = _scores(original, twice, chain, second=has_second(settings.weights))
        verdict = _measured_verdict(scores)
    else:
        verdict = _verdict(difference_from_bicubic(middle, large))
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
    """Enlarge a short clip by four, or measure on it.

    Raises:
        InputError: it cannot be read, or is beyond the limits.
    """
    settings, chosen = fitting(source, settings)
    wanted = ClipSettings(settings.quality, settings.measure, settings.weights, end=CLIP_SECONDS, scale=4)
    note = f"The first {CLIP_SECONDS:.0f} seconds at most; `espcn video --scale 4` enlarges whole clips."
    if settings.measure:
        result = measure_clip(source, folder, wanted, limits, on_progress, cancelled)
        return replace(result, notes=(_measured_verdict(result.scores), note, *result.notes))
    result = video(source, folder, wanted, limits, on_progress, cancelled)
    twice, chain = (engine(scale, settings.weights, settings.quality) for scale in (2, 4))
    more = _one_pass(source, folder, result, twice, limits, cancelled, second=has_second(settings.weights))
    verdict = _verdict(_apart(source, twice, chain, limits))
    return replace(result, left=(*result.left, *more), notes=(verdict, note, *chosen, *result.notes))


def _one_pass(
    source: Path,
    folder: Path,
    result: ClipResult,
    twice: Upscaler,
    limits: Limits,
    cancelled: Event,
    *,
    second: bool,
) -> list[Side]:
    """The clip enlarged by two and then bicubically, and, where that is quick, twice by the first pass's weights."""
    from ..video import upscale_video

    middle, plain, naive = (folder / f"{name}.mp4" for name in ("twice", "once", "naive"))
    upscale_video(source, middle, upscaler=twice, crf=12, duration=CLIP_SECONDS, limits=limits, cancelled=cancelled)
    clips.write_clip(middle, plain, factor=2, crf=16, matrix=matrix_of(result.height))
    sides = [Side(ONCE, plain)]
    if second and result.width * result.height * len(result.times) <= NAIVE_PIXELS:
        upscale_video(middle, folder / "chain.mp4", upscaler=twice, cancelled=cancelled)
        clips.write_clip(folder / "chain.mp4", naive, crf=14, matrix=matrix_of(result.height))
        sides.append(Side(NAIVE, naive))
    return sides


def _apart(source: Path, twice: Upscaler, chain: Upscaler, limits: Limits) -> float:
    """PSNR in dB between both passes and one pass enlarged bicubically, on a few frames before any encoder."""
    from ..degrade import resize
    from ..metrics import psnr
    from ..video.luma import sample_luma

    found = []
    for luma in sample_luma(source, LOOKED_AT, duration=CLIP_SECONDS, limits=limits):
        once, both = (
            np.asarray(one.upscale(luma.plane[None], white=luma.white)[0], np.float32) / np.float32(luma.white)
            for one in (twice, chain)
        )
        found.append(psnr(np.clip(resize(once, both.shape[1], both.shape[0]), 0, 1), both))
    return float(np.mean(found))


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


def _verdict(apart: float) -> str:
    """What `apart` dB between both passes, and one enlarged bicubically, mean."""
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
