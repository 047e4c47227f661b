"""A PNG writer for large pictures: any of the four true-colour layouts, 8 or 16 bits, compressed on all cores.

Pillow writes no 16-bit colour and needs a second copy of the whole picture; here strips of rows are filtered and
compressed by several threads and leave at once. Each strip ends on a byte, so that the strips join to one zlib stream
(RFC 1950, 1951). Chunks as in the PNG specification, third edition.
"""

from __future__ import annotations

import struct
import zlib
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO

import numpy as np

from espcn_demo.backends.machine import granted_cores
from espcn_demo.image.picture import Metadata, Picture

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}  # by the number of channels
_UP = 2  # filter: the difference to the pixel above; nearly the size of trying all five, at a fraction of the time
_LEVEL = 1
_STRIP_BYTES = 1 << 20
_METRES_PER_INCH = 0.0254


def write_png(picture: Picture, out: Path) -> None:
    """Write a picture with its ICC profile, EXIF, XMP and resolution."""
    channels = (1 if picture.is_grey else 3) + (picture.alpha is not None)
    header = struct.pack(">IIBBBBB", picture.width, picture.height, picture.bits, _COLOUR_TYPES[channels], 0, 0, 0)
    with out.open("wb") as file:
        file.write(_SIGNATURE)
        _chunk(file, b"IHDR", header)
        for name, data in _metadata(picture.metadata):
            _chunk(file, name, data)
        for data in _compressed(picture, channels):
            _chunk(file, b"IDAT", data)
        _chunk(file, b"IEND", b"")


def _metadata(metadata: Metadata) -> Iterator[tuple[bytes, bytes]]:
    if metadata.icc:
        yield b"iCCP", b"ICC profile\0\0" + zlib.compress(metadata.icc)
    if metadata.dpi:
        yield b"pHYs", struct.pack(">IIB", *(round(dpi / _METRES_PER_INCH) for dpi in metadata.dpi), 1)
    if metadata.exif:
        yield b"eXIf", metadata.exif.removeprefix(b"Exif\0\0")
    if metadata.xmp:
        yield b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + metadata.xmp


def _compressed(picture: Picture, channels: int) -> Iterator[bytes]:
    """The zlib stream in pieces, a few strips ahead of the file."""
    rows = max(1, _STRIP_BYTES // (picture.width * channels * picture.bits // 8))
    yield b"\x78\x01"  # zlib header: deflate, 32 KiB window, fastest
    checksum = zlib.adler32(b"")
    waiting: deque[Future[tuple[bytes, bytes]]] = deque()
    with ThreadPoolExecutor(granted_cores()) as threads:
        for start in range(0, picture.height, rows):
            waiting.append(threads.submit(_strip, picture, start, start + rows))
            if len(waiting) > 2 * granted_cores():
                raw, packed = waiting.popleft().result()
                checksum = zlib.adler32(raw, checksum)
                yield packed
        for future in waiting:
            raw, packed = future.result()
            checksum = zlib.adler32(raw, checksum)
            yield packed
    yield b"\x03\x00" + struct.pack(">I", checksum)  # an empty last block


def _strip(picture: Picture, start: int, stop: int) -> tuple[bytes, bytes]:
    """Rows `start` to `stop`, filtered: as they are, and compressed on their own."""
    above = max(0, start - 1)
    values = _bytes(picture, above, stop)
    if start == 0:
        values = np.concatenate([np.zeros_like(values[:1]), values])
    filtered = np.empty((len(values) - 1, values.shape[1] + 1), np.uint8)
    filtered[:, 0] = _UP
    np.subtract(values[1:], values[:-1], out=filtered[:, 1:])
    raw = filtered.tobytes()
    packer = zlib.compressobj(_LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    return raw, packer.compress(raw) + packer.flush(zlib.Z_SYNC_FLUSH)


def _bytes(picture: Picture, start: int, stop: int) -> np.ndarray[tuple[int, int], np.dtype[np.uint8]]:
    """Rows of interleaved samples, 16-bit ones with the high byte first: (rows, bytes)."""
    samples = picture.colour[start:stop]
    if picture.alpha is not None:
        samples = np.dstack([samples, picture.alpha[start:stop]])
    if picture.bits == 16:
        samples = samples.astype(">u2")
    return np.ascontiguousarray(samples).view(np.uint8).reshape(len(samples), -1)


def _chunk(file: BinaryIO, name: bytes, data: bytes) -> None:
    file.write(struct.pack(">I", len(data)) + name)
    file.write(data)
    file.write(struct.pack(">I", zlib.crc32(data, zlib.crc32(name))))
