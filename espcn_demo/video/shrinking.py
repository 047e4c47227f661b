"""The gain on one's own clip, measured: frames are shrunk, restored by every method and compared with themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..degrade import crop_even, resize, shrink, to_codes
from ..errors import InputError
from ..limits import Limits
from .luma import Luma, sample_luma
from .quality import EQUAL, frame_psnr

if TYPE_CHECKING:
    from ..measure import Measurement, Score
    from ..upscaler import Upscaler

LARGEST = 600_000  # pixels measured of a frame, its middle: SSIM of five methods on more takes seconds a frame


@dataclass(frozen=True)
class FrameGain:
    """One sampled frame: `time` in seconds, PSNR in dB (100 when equal) of the network and of bicubic."""

    time: float
    network: float
    bicubic: float


@dataclass(frozen=True)
class ClipGain:
    """Shrink-and-restore on sampled frames of a clip.

    scores  means over the frames, the network first: method, PSNR in dB and SSIM
    gain    mean PSNR of the network less that of bicubic, dB; `worst` is the smallest of a frame
    curve   in order of time
    last    the measurement of the frame with the largest gain, with its planes, to look at
    """

    scores: tuple[Score, ...]
    gain: float
    worst: float
    curve: tuple[FrameGain, ...]
    protocol: str
    last: Measurement

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, without the planes."""
        return {
            "scores": [asdict(score) for score in self.scores],
            "gain_over_bicubic": self.gain,
            "worst_gain": self.worst,
            "curve": [asdict(frame) for frame in self.curve],
            "protocol": self.protocol,
        }


def measure_clip_by_shrinking(
    path: Path,
    upscaler: Upscaler,
    *,
    frames: int = 12,
    start: float = 0.0,
    duration: float | None = None,
    largest: int | None = LARGEST,
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    cancelled: threading.Event | None = None,
) -> ClipGain:
    """Measure `frames` frames spread evenly over the part of `duration` seconds from `start` on.

    largest      pixels of a frame that are measured (its middle), None for all
    on_progress  called with measured and expected frames

    Raises:
        InputError: the clip cannot be read, is too small, or the run was cancelled.
    """
    from ..measure import measure_plane

    found: list[tuple[float, Measurement]] = []
    for luma in sample_luma(Path(path), frames, start=start, duration=duration, limits=limits):
        if cancelled is not None and cancelled.is_set():
            raise InputError("Stopped: the measurement was cancelled.")
        found.append((luma.time, measure_plane(luma.plane, upscaler, luma.white, largest=largest)))
        if on_progress is not None:
            on_progress(len(found), frames)
    if not found:
        raise InputError(f"{Path(path).name} holds no frame that can be decoded there.")
    return _summary(found)


def gain_of(luma: Luma, upscaler: Upscaler) -> tuple[float, float]:
    """PSNR of one whole frame in dB, restored by the network and by bicubic: the short form, for estimates.

    Raises:
        InputError: the frame is too small to be shrunk.
    """
    scale, white = upscaler.scale, luma.white
    codes = crop_even(luma.plane, scale)
    if min(codes.shape) < 8 * scale:
        raise InputError(f"measuring at {scale}x needs at least {8 * scale} pixels a side.")
    reference = np.asarray(codes, np.float32) / np.float32(white)
    small = to_codes(shrink(reference, scale), white)
    network = upscaler.upscale(small[None], white=white)[0]
    bicubic = to_codes(resize(np.asarray(small, np.float32) / np.float32(white), *codes.shape[::-1]), white)
    inner = (slice(scale, -scale), slice(scale, -scale))
    network_db, bicubic_db = (frame_psnr(codes[inner], one[inner], peak=float(white)) for one in (network, bicubic))
    return network_db, bicubic_db


def _summary(found: list[tuple[float, Measurement]]) -> ClipGain:
    from ..measure import Score

    curve = [
        FrameGain(time, *(min(one.score(name).psnr, EQUAL) for name in ("network", "bicubic"))) for time, one in found
    ]
    names = [score.method for score in found[0][1].scores]
    scores = tuple(
        Score(
            name,
            float(np.mean([min(one.score(name).psnr, EQUAL) for _, one in found])),
            float(np.mean([one.score(name).ssim for _, one in found])),
        )
        for name in names
    )
    gains = [frame.network - frame.bicubic for frame in curve]
    best = found[int(np.argmax(gains))][1]
    return ClipGain(scores, float(np.mean(gains)), min(gains), tuple(curve), best.protocol, best)
