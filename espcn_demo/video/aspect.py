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
_UNIT_UNKNOWN, _UNIT_PIXELS = bytes.fromhex("54b28104"), bytes.fromhex("54b28100")  # DisplayUnit
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
        file.write(_display(width, height, aspect))
        unit = head.find(_UNIT_UNKNOWN, max(0, at - 64), at + 64)
        if unit >= 0:
            file.seek(unit)
            file.write(_UNIT_PIXELS)
    return True


def _display(width: int, height: int, aspect: Fraction) -> bytes:
    """DisplayWidth, DisplayHeight and Void, as long as the placeholder."""
    shown = Fraction(width) * aspect
    if shown <= _LARGEST:
        across, down = round(shown), height
    else:
        across, down = width, round(height / aspect)
    sizes = b"\x54\xb0\x82" + struct.pack(">H", max(1, across)) + b"\x54\xba\x82" + struct.pack(">H", max(1, down))
    padding = len(_ROLL) - len(sizes) - 2
    return sizes + bytes([0xEC, 0x80 | padding]) + bytes(padding)
