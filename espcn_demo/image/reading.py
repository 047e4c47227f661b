"""Files to pictures: the header first, then the samples, then what is known about them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from espcn_demo.errors import InputError
from espcn_demo.image import modes
from espcn_demo.image.deep import is_deep, read_deep
from espcn_demo.image.metadata import orientation_of, read_metadata
from espcn_demo.image.picture import Picture
from espcn_demo.limits import GENEROUS, Limits
from espcn_demo.upscaler import Codes

# Decoders for pictures; Pillow's others start programs (EPS), are rarely exercised, or take any file for theirs (TGA).
FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "DIB", "GIF", "AVIF", "JPEG2000", "PPM", "PCX", "ICO", "QOI")
_USUAL = "png apng jpg jpeg jpe jfif mpo webp tif tiff bmp dib gif avif avifs"
_RARE = "jp2 j2k jpx ppm pgm pbm pnm pcx ico qoi heic heif"  # HEIF without its decoder: refused with a reason
READABLE = frozenset(f".{suffix}" for suffix in f"{_USUAL} {_RARE}".split())
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1")


def read_picture(path: Path, *, limits: Limits = GENEROUS) -> Picture:
    """Read the first picture of a file, turned as its EXIF says, grey or R'G'B' with or without alpha.

    Palettes, CMYK, Lab and other modes become one of these, and the picture's notes say so.

    Raises:
        InputError: the file is missing, larger than `limits` allow, damaged, or not a picture.
    """
    _check_file(path, limits)
    notes: list[str] = []
    with ExitStack() as stack:
        with _decoding(path, notes):
            image = stack.enter_context(Image.open(path, formats=_formats()))
            _check_size(path, image, limits)
            turned_by_pillow = image.format == "TIFF"
            orientation = orientation_of(image) if turned_by_pillow else 1
            deep = is_deep(image)
            _note_kind(path, image, notes)
            image.load()
        if deep:
            colour, alpha = modes.split(read_deep(path, image))
        else:
            colour, alpha = modes.to_arrays(image, notes)
        if deep or not turned_by_pillow:
            turn = orientation if turned_by_pillow else orientation_of(image)
            colour, alpha = _upright(colour, turn), None if alpha is None else _upright(alpha, turn)
        metadata = read_metadata(image, notes)
        return Picture(colour, alpha, modes.fitting(metadata, image), str(image.format), tuple(notes))


def _check_file(path: Path, limits: Limits) -> None:
    if not path.exists():
        raise InputError(f"{path.name} does not exist: check the name.")
    if not path.is_file():
        raise InputError(f"{path.name} is not a file: give the name of a picture.")
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path.name} is empty: choose another file.")
    if size > limits.bytes:
        raise InputError(
            f"{path.name} has {size:,} bytes; at most {limits.bytes:,} are accepted: choose a smaller file."
        )


def _check_size(path: Path, image: Image.Image, limits: Limits) -> None:
    width, height = image.size
    if width < 1 or height < 1:
        raise InputError(f"{path.name} has no pixels: choose another file.")
    if width * height > limits.pixels:
        raise InputError(
            f"{path.name} has {width}x{height} pixels; at most {limits.pixels:,} are accepted: shrink or crop it."
        )


@contextmanager
def _decoding(path: Path, notes: list[str]) -> Iterator[None]:
    """Pillow's warnings become notes, and whatever it raises an InputError."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # the limits decide
        warnings.simplefilter("ignore", DeprecationWarning)
        try:
            yield
            notes.extend(_first_line(warning.message) for warning in caught)
        except InputError:
            raise
        except UnidentifiedImageError as error:
            raise InputError(_unidentified(path)) from error
        except Image.DecompressionBombError as error:
            most = f"{path.name} claims more pixels than are accepted and may be made to do harm"
            raise InputError(f"{most}: choose another file.") from error
        except MemoryError as error:
            raise InputError(f"{path.name} needs more memory than there is: use a smaller picture.") from error
        except PermissionError as error:
            raise InputError(f"{path.name} may not be read: check its permissions.") from error
        except Exception as error:
            # Decoders fail on damaged files in every way there is: OSError, ValueError, SyntaxError, struct.error...
            raise InputError(
                f"{path.name} is damaged or cut short ({_first_line(error)}): get another copy."
            ) from error


def _formats() -> tuple[str, ...]:
    """FORMATS, and HEIF where its decoder (the extra `heif`) is installed."""
    try:
        from pillow_heif import register_heif_opener
    except ImportError:
        return FORMATS
    register_heif_opener()
    return (*FORMATS, "HEIF")


def _unidentified(path: Path) -> str:
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return f"{path.name} is a HEIF picture: install pillow-heif to read it, or save it as JPEG or PNG first."
    return f"{path.name} is not a picture this can read: use PNG, JPEG, WebP, TIFF, BMP, GIF or AVIF."


def _note_kind(path: Path, image: Image.Image, notes: list[str]) -> None:
    """Say what the arrays will not tell: pictures left out, samples that the decoder cut to 8 bits."""
    count = getattr(image, "n_frames", 1)
    if count > 1:
        notes.append(f"only the first of its {count} pictures is enlarged")
    bits = _avif_bits(path) if image.format == "AVIF" else image.info.get("bit_depth", 8)  # pillow-heif gives that
    if bits > 8:
        notes.append("its samples of more than 8 bits are read as 8 bits")
    if image.format == "JPEG2000" and image.mode in ("RGB", "RGBA"):
        notes.append("JPEG 2000 colour is read at 8 bits a channel")


def _avif_bits(path: Path) -> int:
    """Bits a sample, from the AV1 configuration box near the start of an AVIF file (AV1-ISOBMFF, section 2.3)."""
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.find(b"av1C")
    if start < 0 or len(head) < start + 7:
        return 8
    high, twelve = head[start + 6] & 0x40, head[start + 6] & 0x20
    return 8 if not high else 12 if twelve else 10


def _upright(plane: Codes, orientation: int) -> Codes:
    """Undo an EXIF orientation (CIPA DC-008, tag 274) of an (H, W) or (H, W, 3) array."""
    if orientation >= 5:
        plane = plane.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


def _first_line(error: object) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
