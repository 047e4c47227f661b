"""A clip that shows before and after together, side by side or with a moving wipe, to share; composed with moviepy."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from math import pi, sin
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from ..limits import Limits
from .playback import Picture, Playback, Standing, enlarged, open_shown
from .soundtrack import write_wav

STYLES = ("side", "wipe")
SUFFIXES = (".mp4", ".gif")
# A GIF stores every frame whole in 256 colours: larger ones grow to tens of megabytes and stutter.
GIF_WIDTH, GIF_RATE, GIF_SECONDS = 640, 12.5, 8.0
WIPE_PERIOD = 4.0  # seconds for the line to go to and fro; also the length of a comparison of two pictures
LINE = 2  # pixels, the line between before and after
X264 = ("-crf", "18", "-vf", "scale=out_color_matrix=bt709:out_range=limited", "-movflags", "+faststart")
BT709 = ("-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709", "-color_range", "tv")
Shown = Playback | Standing


@dataclass(frozen=True)
class CompareReport:
    """What was written: size in pixels, seconds, frames a second; `audio` is "after" or "none"."""

    output: str
    style: str
    width: int
    height: int
    seconds: float
    fps: float
    audio: str
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def compare(
    before: Path,
    after: Path,
    out: Path,
    *,
    style: str = "side",
    labels: tuple[str, str] = ("before", "after"),
    seconds: float | None = None,
    height: int | None = None,
    limits: Limits | None = None,
) -> CompareReport:
    """Write OUT.mp4 (with the sound of `after`) or OUT.gif: `before` enlarged bicubically next to, or under, `after`.

    Two clips or two pictures.

    style     "side" puts them side by side, "wipe" moves a line over them
    seconds   length of the result; by default that of the shorter clip, 4 for pictures
    height    of each picture in pixels; by default that of `after`

    Raises:
        InputError: a clip cannot be read, or an option is not offered.
    """
    before, after, out = Path(before), Path(after), Path(out)
    _check(out, style, seconds, height)
    with ExitStack() as stack:
        right = stack.enter_context(open_shown(after, limits=limits))
        # Untagged clips: both by the rule for the small one, else they would differ in colour by this program's doing.
        left = stack.enter_context(open_shown(before, limits=limits))
        right.matrix = left.matrix
        length = _length(left, right, seconds)
        gif = out.suffix.lower() == ".gif"
        rate = float(right.rate)
        size, notes = _size(right.size, style, height, gif)
        if abs(left.size[0] * right.size[1] / (left.size[1] * right.size[0]) - 1) > 0.02:
            notes.append("The two have different shapes; before was stretched to the shape of after.")
        if gif:
            length, rate = _gif_limits(length, rate, notes)
        pair = _side(left, right, size) if style == "side" else _wipe(left, right, size)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix=".espcn-compare-", dir=out.parent)))
        wav = folder / "sound.wav" if not gif and isinstance(right, Playback) else None
        if wav is not None and not write_wav(after, wav, start=right.start, length=length, limits=limits):
            wav = None
        shown = _write(pair, folder / f"result{out.suffix.lower()}", wav, labels, style, length, rate)
        os.replace(folder / f"result{out.suffix.lower()}", out)
    return CompareReport(str(out), style, *shown, length, rate, "after" if wav else "none", tuple(notes))


def _check(out: Path, style: str, seconds: float | None, height: int | None) -> None:
    if style not in STYLES:
        raise InputError(f"style {style!r} is not offered: use side or wipe.")
    if out.suffix.lower() not in SUFFIXES:
        raise InputError(f"{out.name}: a comparison is written as .mp4 or .gif.")
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: create it first.")
    if seconds is not None and not seconds > 0:
        raise InputError("seconds must be greater than zero.")
    if height is not None and not 16 <= height <= 4320:
        raise InputError("height must be between 16 and 4320 pixels.")


def _length(left: Shown, right: Shown, wanted: float | None) -> float:
    known = [clip.duration for clip in (left, right) if clip.duration is not None]
    length = min([*known, *([wanted] if wanted is not None else [])], default=0.0)
    if not known:
        length = wanted or WIPE_PERIOD
    return max(length, float(1 / right.rate))


def _size(shown: tuple[int, int], style: str, height: int | None, gif: bool) -> tuple[tuple[int, int], list[str]]:
    """Size of one picture, even (H.264 in 4:2:0), and what to say about it."""
    factor = (height or shown[1]) / shown[1]
    notes = []
    columns = 2 if style == "side" else 1
    if gif and shown[0] * factor * columns > GIF_WIDTH:
        factor = GIF_WIDTH / (shown[0] * columns)
        notes.append(f"A GIF is limited to {GIF_WIDTH} pixels in width: write an .mp4 for full size.")
    width, high = (max(2, round(side * factor) // 2 * 2) for side in shown)
    return (width, high), notes


def _gif_limits(length: float, rate: float, notes: list[str]) -> tuple[float, float]:
    if length > GIF_SECONDS:
        notes.append(f"A GIF is limited to {GIF_SECONDS:g} of the {length:.1f} seconds: write an .mp4 for all of them.")
    if rate > GIF_RATE:
        notes.append(f"A GIF is limited to {GIF_RATE:g} of the {rate:.4g} frames a second.")
    return min(length, GIF_SECONDS), min(rate, GIF_RATE)


def _side(left: Shown, right: Shown, size: tuple[int, int]) -> Callable[[float], Picture]:
    def frame(moment: float) -> Picture:
        return np.concatenate([enlarged(_as(left, right, moment), size), enlarged(right.at(moment), size)], axis=1)

    return frame


def _wipe(left: Shown, right: Shown, size: tuple[int, int]) -> Callable[[float], Picture]:
    def frame(moment: float) -> Picture:
        picture = enlarged(right.at(moment), size).copy()
        edge = round(size[0] * (0.5 - 0.4 * sin(2 * pi * moment / WIPE_PERIOD)))
        picture[:, :edge] = enlarged(_as(left, right, moment), size)[:, :edge]
        picture[:, max(edge - LINE // 2, 0) : edge + LINE // 2] = 255
        return picture

    return frame


def _as(left: Shown, right: Shown, moment: float) -> Picture:
    """The frame of `left`, enlarged to the size of `right` first: that is what bicubic makes of it."""
    return enlarged(left.at(moment), right.size)


def _label(text: str, side: int) -> Picture:
    """White text on half-transparent dark, (h, w, 4) uint8, in Pillow's own font; `side`: the picture's short one."""
    size = max(10, side // 22)
    font = ImageFont.load_default(size)
    left, top, right, bottom = font.getbbox(text)
    picture = Image.new("RGBA", (int(right - left) + size, int(bottom - top) + size), (0, 0, 0, 150))
    ImageDraw.Draw(picture).text((size / 2 - left, size / 2 - top), text, font=font, fill=(255, 255, 255, 255))
    return np.asarray(picture)


def _write(
    pair: Callable[[float], Picture],
    path: Path,
    wav: Path | None,
    labels: tuple[str, str],
    style: str,
    length: float,
    rate: float,
) -> tuple[int, int]:
    """Compose and encode; the size of the result."""
    from moviepy import CompositeVideoClip, ImageClip, VideoClip

    length = (max(1, round(length * rate)) + 0.01) / rate  # moviepy rounds the number of frames down
    base = VideoClip(pair, duration=length)
    width, height = base.size
    margin = max(4, height // 40)
    places = ((margin, margin), (width // 2 + margin, margin))
    layers = [base]
    for text, (x, y), to_the_right in zip(labels, places, (False, style == "wipe"), strict=True):
        if text:
            label = ImageClip(_label(text, min(width, height)), duration=length)
            x = width - label.w - margin if to_the_right else x
            layers.append(label.with_position((x, y)))
    clip = CompositeVideoClip(layers, use_bgclip=True).with_duration(length) if len(layers) > 1 else base
    if path.suffix == ".gif":
        clip.write_gif(str(path), fps=rate, logger=None)
        return (width, height)
    with _sound(wav) as sound:
        clip.with_audio(sound).write_videofile(
            str(path),
            fps=rate,
            codec="libx264",
            preset="veryfast",
            audio_codec="aac",
            audio_bitrate="192k",
            temp_audiofile_path=str(path.parent),
            ffmpeg_params=[*X264, *BT709],
            logger=None,
        )
    return (width, height)


@contextmanager
def _sound(wav: Path | None) -> Iterator[Any]:
    """The sound as a moviepy clip, or None."""
    from moviepy import AudioFileClip

    if wav is None:
        yield None
        return
    track = AudioFileClip(str(wav))
    process = track.reader.proc
    try:
        yield track
    finally:
        track.close()
        for pipe in (process.stdout, process.stderr):  # moviepy leaves them open when the process has ended by itself
            pipe.close()
