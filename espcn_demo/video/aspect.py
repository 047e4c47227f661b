"""The pixel aspect of Matroska and WebM.

FFmpeg's muxer takes it from a field that PyAV does not offer, and VP9 and AV1 do not carry it in the stream. So the
muxer is asked for another element of the track's header, a rotation by 180 degrees, and the bytes of that element are
then replaced by the display size and padding of the same length (RFC 9559, 5.1.4.1.28).
"""

from __future__ import annotations

import struct
from fractions import Fraction
from pathlib import Path

PLACEHOLDER = 180.0  # degrees
_ROLL = bytes.fromhex("76708b767588") + struct.pack(">d", PLACEHOLDER)  # Projection holding ProjectionPoseRoll
_UNIT, _UNKNOWN, _PIXELS, _RATIO = bytes.fromhex("54b281"), b"\4", b"\0", b"\3"  # DisplayUnit and its values
_HEADER = 1 << 16  # bytes; the track headers come first
_LARGEST = 65_535


def write_aspect(path: Path, width: int, height: int, aspect: Fraction) -> bool:
    """Replace the placeholder by the display size of `width` x `height` pixels of this aspect; False when absent."""
    with path.open("r+b") as file:
        head = file.read(_HEADER)
        at = head.find(_ROLL)
        if at < 0:
            return False
        file.seek(at)
        across, down, unit = _display(width, height, aspect)
        file.write(_element(across, down))
        told = head.find(_UNIT + _UNKNOWN, max(0, at - 64), at + 64)
        if told >= 0:
            file.seek(told)
            file.write(_UNIT + unit)
    return True


def _display(width: int, height: int, aspect: Fraction) -> tuple[int, int, bytes]:
    """DisplayWidth, DisplayHeight and DisplayUnit: pixels where these are whole numbers, else the ratio alone."""
    shown, ratio = Fraction(width) * aspect, Fraction(width, height) * aspect
    if shown.denominator == 1 and shown <= _LARGEST:
        return int(shown), height, _PIXELS
    if max(ratio.numerator, ratio.denominator) <= _LARGEST:
        return ratio.numerator, ratio.denominator, _RATIO
    return min(_LARGEST, max(1, round(shown))), height, _PIXELS


def _element(across: int, down: int) -> bytes:
    """DisplayWidth, DisplayHeight and Void, as long as the placeholder."""
    sizes = b"\x54\xb0\x82" + struct.pack(">H", across) + b"\x54\xba\x82" + struct.pack(">H", down)
    padding = len(_ROLL) - len(sizes) - 2
    return sizes + bytes([0xEC, 0x80 | padding]) + bytes(padding)
