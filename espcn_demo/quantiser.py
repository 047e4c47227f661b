"""How strongly a file was compressed, read from its own quantiser.

python -m espcn_demo.quantiser FILE      prints it as JSON

H.264 and HEVC state a quantiser (QP, 0 to 51) with each slice, VP9 and AV1 an index (0 to 255) with each frame, JPEG
its tables. Other codecs are judged by bits per pixel.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import InputError

if TYPE_CHECKING:
    from av.bitstream import BitStreamFilterContext
    from av.video.stream import VideoStream

log = logging.getLogger(__name__)

PACKETS = 48  # two seconds: quantisers of a clip vary little, and this takes some hundredths of a second
SECONDS = 20.0  # for the reading process
LOSSLESS = ("PNG", "BMP", "TIFF", "GIF", "PPM", "MPO")
FIELD = re.compile(r"(\w*init_qp_minus26|slice_qp_delta|base_q_idx)\s+[01]* = (-?\d+)")
# Annex K.1 of ITU-T T.81: the luminance table that qualities scale
STANDARD = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56, 14, 17, 22, 29),
    *(51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92, 49, 64, 78, 87, 103, 121),
    *(120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)


@dataclass(frozen=True)
class Quantiser:
    """The strength of compression as an H.264 QP or what is like it; None when nothing was lost.

    `quality` is a JPEG's quality, 1 to 100; `source` says where the number comes from.
    """

    qp: float | None
    source: str
    quality: float | None = None


def picture_quantiser(path: Path) -> Quantiser:
    """The quantiser of a picture file; not a picture is an InputError."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            kind, pixels = image.format or "", image.width * image.height
            tables = getattr(image, "quantization", None)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(f"{path.name} cannot be read as a picture.") from error
    if tables:
        quality = jpeg_quality(tables[min(tables)])
        return Quantiser(jpeg_qp(quality), f"JPEG quality about {quality:.0f}", quality)
    if kind in LOSSLESS:
        return Quantiser(None, f"{kind} loses nothing")
    # Still pictures take about ten times the bits of a video frame, and WebP and AVIF are this much better than JPEG.
    return by_bits(8 * path.stat().st_size / max(pixels, 1) / 10, kind)


def video_quantiser(path: Path) -> Quantiser:
    """The mean quantiser of a clip's first frames, read in a process of its own; not a video is an InputError.

    FFmpeg gives the syntax elements as log lines only, and its log is one for the whole process.
    """
    command = [sys.executable, "-m", "espcn_demo.quantiser", str(Path(path).absolute())]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=True)
        return Quantiser(**json.loads(done.stdout))
    except subprocess.CalledProcessError as error:
        if error.returncode == 2:
            raise InputError(error.stderr.strip().splitlines()[-1]) from error
        log.warning("no quantiser read from %s: the reader ended with %d", path.name, error.returncode)
    except (subprocess.TimeoutExpired, json.JSONDecodeError, TypeError) as error:
        log.warning("no quantiser read from %s: %s", path.name, error)
    return Quantiser(None, "unknown quantiser")


def jpeg_quality(table: Sequence[int]) -> float:
    """The quality, 1 to 100, whose scaled standard luminance table is nearest to `table` (libjpeg's rule)."""
    scale = 100 * sum(table) / sum(STANDARD)
    return max(1.0, min(100.0, 100 - scale / 2 if scale <= 100 else 5000 / scale))


def jpeg_qp(quality: float) -> float:
    """The H.264 QP that does about a JPEG's damage: 14 at quality 95, 26 at 64."""
    return 14 + (95 - quality) / 2.6


def by_bits(bits: float, codec: str) -> Quantiser:
    """A rough QP from bits per pixel: 23 at 0.1, and half the bits for six more."""
    return Quantiser(
        max(0.0, min(51.0, 23 - 6 * math.log2(max(bits, 1e-6) / 0.1))), f"{codec}, {bits:.3f} bits a pixel"
    )


def quantiser_of_fields(codec: str, fields: Sequence[tuple[str, int]]) -> Quantiser | None:
    """The mean quantiser of syntax elements in stream order; None when there are too few of them."""
    values, base = [], 26
    for name, value in fields:
        if name.endswith("init_qp_minus26"):
            base = 26 + value
        elif name == "slice_qp_delta":
            values.append(float(base + value))
        else:
            values.append((value / 4 + 2) / 1.6)  # the index is four times libvpx's 0 to 63; 33 there is like QP 22
    if not values:
        return None
    mean = sum(values) / len(values)
    return Quantiser(mean, f"{codec}, mean quantiser {mean:.0f}")


def _read(path: Path) -> Quantiser:
    """Read a clip's quantiser in this process, whose log is FFmpeg's from here on."""
    import av
    import av.logging

    from .video.source import open_source, video_stream

    with open_source(path) as container:
        stream = video_stream(container)
        if stream is None:
            raise InputError(f"{path.name} has no video.")
        codec = stream.codec_context.name
        pixels, size, frames = stream.width * stream.height, 0, 0
        av.logging.set_level(av.logging.TRACE)
        with av.logging.Capture() as lines:
            reader = _filter(stream)
            for packet in container.demux(stream):
                if not packet.size or frames == PACKETS:
                    break
                frames, size = frames + 1, size + packet.size
                if reader is not None:
                    with contextlib.suppress(av.error.FFmpegError):  # a damaged packet; the others still tell
                        reader.filter(packet)
            text = "\n".join(line[2] for line in lines)
    found = quantiser_of_fields(codec, [(name, int(value)) for name, value in FIELD.findall(text)])
    if found is None and codec.startswith("mpeg"):
        size //= 2  # MPEG-1, 2 and 4 need twice the bits for the same quality
    return found or by_bits(8 * size / max(frames * pixels, 1), codec)


def _filter(stream: VideoStream) -> BitStreamFilterContext | None:
    from av.bitstream import BitStreamFilterContext

    try:
        return BitStreamFilterContext("trace_headers", stream)
    except ValueError:  # this codec's headers are not known to the filter
        return None


def main(argv: Sequence[str] | None = None) -> int:
    """Print the quantiser of a clip."""
    (name,) = sys.argv[1:] if argv is None else argv
    try:
        print(json.dumps(asdict(_read(Path(name)))))
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
