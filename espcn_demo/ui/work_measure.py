"""Measuring on a clip: every frame is shrunk by two, restored, and compared with the original."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from ..degrade import crop_even, resize, shrink, to_codes
from ..errors import InputError
from ..metrics import psnr
from ..video.quality import frame_ssim
from . import wording
from .compare import Curve, Side
from .work import engine, fitting, has_second
from .work_clip import ClipResult, ClipSettings
from .work_watch import Glimpse

if TYPE_CHECKING:
    from ..limits import Limits
    from ..upscaler import Upscaler

Plane = np.ndarray[Any, np.dtype[Any]]
ONCE = "2× then bicubic"  # what a second pass has to beat
NAIVE = "Naive chain"  # the first pass's weights for both passes: what weights of its own have to beat
PLAIN = ("bicubic", "lanczos", "bilinear", "nearest")
MOST_SECONDS = 10.0  # of a clip that are measured on the page
SSIM_EVERY = 5  # frames: SSIM costs more than the network
SMALLEST = 8  # pixels a side that shrinking has to leave


def measure_clip(
    path: Path,
    folder: Path,
    settings: ClipSettings,
    limits: Limits,
    on_progress: Callable[[object], None],
    cancelled: Event,
) -> ClipResult:
    """Shrink and restore up to ten seconds; luma only, which is what the network works on.

    Raises:
        InputError: it cannot be read, is too small, or the run was stopped.
    """
    from ..video.luma import read_luma

    settings, _ = fitting(path, replace(settings, measure=True))
    upscaler = engine(settings.scale, settings.weights, settings.quality)
    twice = engine(2, settings.weights, settings.quality) if settings.scale == 4 else None
    naive = twice is not None and has_second(settings.weights)
    network, bicubic = f"ESPCN {settings.scale}×", wording.METHOD_NAMES["bicubic"]
    length = min(settings.duration or MOST_SECONDS, MOST_SECONDS)
    decibels: dict[str, list[float]] = {}
    similar: dict[str, list[float]] = {}
    times: list[float] = []
    writers: dict[str, _GreyClip] = {}
    try:
        for luma in read_luma(path, start=settings.start, duration=length, limits=limits):
            if cancelled.is_set():
                raise InputError(wording.STOPPED)
            found, restored = restore_frame(luma.plane, luma.white, upscaler, twice, naive=naive)
            for name, db in found.items():
                decibels.setdefault(name, []).append(min(db, 100.0))
            if len(times) % SSIM_EVERY == 0:
                for name in found:
                    similar.setdefault(name, []).append(frame_ssim(restored["Original"], restored[name], peak=1.0))
            times.append(luma.time)
            for name in ("Original", network, bicubic, ONCE, NAIVE):
                if name in restored and name not in writers:
                    writers[name] = _GreyClip(folder / f"measured-{len(writers)}.mp4", restored[name].shape)
                if name in writers:
                    writers[name].write(restored[name], luma.time, full_range=luma.full_range)
            on_progress(Glimpse(len(times), None, 0.0, None, None, *restored[network].shape[::-1]))
    finally:
        for writer in writers.values():
            writer.close()
    if not times:
        raise InputError(f"{path.name} has no frame that can be decoded: try another file.")
    rows = tuple((name, float(np.mean(all_)), float(np.mean(similar[name]))) for name, all_ in decibels.items())
    own = writers[network]
    shown = [time - own.first for time in times]
    gain = float(np.mean(decibels[network]) - np.mean(decibels[bicubic]))
    return ClipResult(
        left=(
            *(Side(f"{name} (restored)", writers[name].path) for name in (bicubic, ONCE, NAIVE) if name in writers),
            Side("Original", writers["Original"].path),
        ),
        right=Side(f"{network} (restored)", own.path),
        width=own.width,
        height=own.height,
        times=tuple(shown),
        sound=False,
        facts=(
            ("Measured", f"{len(times)} frames, {own.width}×{own.height}"),
            ("Gain", f"{gain:+.2f} dB over bicubic"),
            ("Engine", upscaler.name),
        ),
        notes=("Luma only, which is what the network works on: so the picture is grey. Click the curve to go there.",),
        status="Measured.",
        scores=rows,
        caption=f"Every frame shrunk by {settings.scale}, restored, and compared with the original (luma)",
        curve=Curve(shown, [(network, decibels[network]), (bicubic, decibels[bicubic])]),
    )


def restore_frame(
    plane: Plane, white: int, upscaler: Upscaler, twice: Upscaler | None = None, *, naive: bool = False
) -> tuple[dict[str, float], dict[str, Plane]]:
    """PSNR by method, and the restored planes in [0, 1] with the "Original" they are compared with.

    plane  (H, W) uint8 or uint16 with the largest code `white`
    twice  beside an engine for 4x the one for 2x, whose result is enlarged bicubically to compare
    naive  and enlarged by `twice` once more

    Raises:
        InputError: it is too small.
    """
    least = SMALLEST * upscaler.scale
    if min(plane.shape) < least:
        raise InputError(f"This is too small to be measured: use {least} by {least} pixels or more.")

    def unit(codes: Plane) -> Plane:
        return np.asarray(codes, np.float32) / np.float32(white)

    def enlarged(codes: Plane, method: str) -> Plane:
        return np.clip(resize(unit(codes), wanted.shape[1], wanted.shape[0], method), 0, 1)

    wanted = unit(crop_even(plane, upscaler.scale))
    small = to_codes(shrink(wanted, upscaler.scale), white)
    restored: dict[str, Plane] = {"Original": wanted}
    restored[f"ESPCN {upscaler.scale}×"] = unit(upscaler.upscale(small[None], white=white)[0])
    if twice is not None:
        middle = twice.upscale(small[None], white=white)
        restored[ONCE] = enlarged(middle[0], "bicubic")
        if naive:
            restored[NAIVE] = unit(twice.upscale(middle, white=white)[0])
    restored |= {wording.METHOD_NAMES[method]: enlarged(small, method) for method in PLAIN}
    found = {name: psnr(wanted, made, border=4) for name, made in restored.items() if name != "Original"}
    return found, restored


class _GreyClip:
    """Writes luma planes as a grey H.264 clip with their own times."""

    def __init__(self, path: Path, shape: tuple[int, ...]) -> None:
        import av

        from .clips import BT709, CLOCK

        self.path, self.height, self.width = path, shape[0] // 2 * 2, shape[1] // 2 * 2
        self.times: list[float] = []
        self.first = 0.0
        self._clock = CLOCK
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"})
        self._stream = self._container.add_stream("libx264", rate=30)
        self._stream.width, self._stream.height, self._stream.pix_fmt = self.width, self.height, "yuv420p"
        context = self._stream.codec_context
        context.time_base, context.max_b_frames, context.colorspace = CLOCK, 0, BT709
        context.options = {"preset": "ultrafast", "crf": "12"}

    def write(self, plane: Plane, time: float, *, full_range: bool) -> None:
        """One plane in [0, 1] of its code values; full-range ones are squeezed into limited range."""
        import av
        from av.video.reformatter import ColorRange

        from ..video.frames import plane_array

        if not self.times:
            self.first = time
        values = plane[: self.height, : self.width] * 255
        codes = np.rint(16 + values * (219 / 255) if full_range else values).astype(np.uint8)
        frame = av.VideoFrame(self.width, self.height, "yuv420p")
        plane_array(frame.planes[0], 8)[:] = codes
        for chroma in frame.planes[1:]:
            plane_array(chroma, 8)[:] = 128
        frame.color_range = ColorRange.MPEG
        frame.pts, frame.time_base = round((time - self.first) / self._clock), self._clock
        self.times.append(time)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file."""
        if self.times:
            self._container.mux(self._stream.encode(None))
        self._container.close()
