"""Quality on clips that really were compressed: shrink luma frames by two, encode, decode, enlarge, compare.

The protocol: the first 24 luma frames, shrunk with Pillow's bicubic and rounded to 8 bits, libx264 preset medium at a
constant rate factor, Y-PSNR of every fourth frame with a two-pixel border left out, averaged over those frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from espcn_demo.degrade import crop_even, shrink, to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr
from train.codecs import Codes8, luma_plane, round_trip
from train.data import as_plane
from train.methods import Method, interpolation
from train.results import table

FRAMES, EVERY = 24, 4
RATES = (18, 23, 30)

Enlarge = Callable[[Codes8], Codes8]  # (H, W) uint8 -> (2H, 2W) uint8


@dataclass(frozen=True)
class ClipPair:
    """One clip at one rate: high-resolution frames and the decoded low-resolution ones, every fourth of them."""

    clip: str
    crf: int
    high: list[Codes8]
    low: list[Codes8]


def read_luma(path: Path, frames: int = FRAMES) -> list[Codes8]:
    """The first luma frames (H, W) uint8 of a video file, sides cropped to multiples of four."""
    import av

    planes: list[Codes8] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                planes.append(np.asarray(crop_even(luma_plane(frame), 4), np.uint8))
                if len(planes) == frames:
                    break
    except (av.error.FFmpegError, IndexError) as error:
        raise InputError(f"{path} cannot be read as a video: {error}.") from error
    return planes


def clip_pair(path: Path, high: Sequence[Codes8], crf: int, codec: str = "libx264") -> ClipPair:
    """Shrink and encode the frames of one clip."""
    small = [np.asarray(to_codes(shrink(as_plane(frame))), np.uint8) for frame in high]
    low = round_trip(small, codec=codec, crf=crf)
    return ClipPair(path.name, crf, list(high[::EVERY]), low[::EVERY])


def score(pair: ClipPair, enlarge: Enlarge) -> float:
    """Mean Y-PSNR in dB over the frames of `pair`."""
    return float(
        np.mean([psnr(h, enlarge(low), peak=255, border=2) for h, low in zip(pair.high, pair.low, strict=True)])
    )


def bicubic(low: Codes8) -> Codes8:
    """Pillow's bicubic enlargement by two of a luma plane (H, W) uint8."""
    return on_codes(interpolation("bicubic"))(low)


def clip_report(paths: Sequence[Path], methods: dict[str, Method]) -> tuple[dict[str, object], str]:
    """PSNR and gain over bicubic of each method on each clip at each rate, and a Markdown table of the gains."""
    gains: dict[str, dict[str, dict[int, float]]] = {}
    scores: dict[str, dict[str, dict[int, float]]] = {}
    for path in paths:
        high = read_luma(path)
        for crf in RATES:
            pair = clip_pair(path, high, crf)
            base = score(pair, bicubic)
            scores.setdefault("bicubic", {}).setdefault(path.stem, {})[crf] = base
            for name, method in methods.items():
                value = score(pair, on_codes(method))
                scores.setdefault(name, {}).setdefault(path.stem, {})[crf] = value
                gains.setdefault(name, {}).setdefault(path.stem, {})[crf] = value - base
    rows = []
    for name, clips in gains.items():
        for clip, by_rate in clips.items():
            rows.append([name, clip, *(f"{scores[name][clip][c]:.2f} ({g:+.2f})" for c, g in by_rate.items())])
        means = {crf: float(np.mean([clips[clip][crf] for clip in clips])) for crf in RATES}
        rows.append([name, "**mean gain**", *(f"**{mean:+.2f}**" for mean in means.values())])
    text = "## Compressed clips, 2x: PSNR in dB (gain over bicubic)\n\n"
    return {"psnr": scores, "gain": gains}, text + table(["weights", "clip", *(f"crf {c}" for c in RATES)], rows)


def on_codes(method: Method) -> Enlarge:
    """A method on 8-bit codes instead of floats."""

    def enlarge(low: Codes8) -> Codes8:
        return np.asarray(to_codes(method(as_plane(low))), np.uint8)

    return enlarge
