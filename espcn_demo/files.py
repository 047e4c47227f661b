"""Results appear under their name only when they are complete."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from espcn_demo.errors import InputError


@contextmanager
def written_beside(out: Path) -> Iterator[Path]:
    """A temporary file in the folder of `out`, renamed to `out` when the block ends well and removed when it does not.

    Raises:
        InputError: the folder is missing or cannot be written, the disk is full, or `out` is a folder.
    """
    beside = _made_beside(out)
    try:
        yield beside
        os.replace(beside, out)
    except OSError as error:
        raise InputError(_cannot(out, error)) from error
    finally:
        beside.unlink(missing_ok=True)


def check_output(source: Path, out: Path) -> None:
    """Find out before the work whether its result can be written.

    Raises:
        InputError: `out` is `source` itself or a folder, or its folder is missing or cannot be written.
    """
    refuse_same(source, out)
    _made_beside(out).unlink()


def refuse_same(source: Path, out: Path) -> None:
    """Raise InputError when both names mean one file or folder."""
    if source.exists() and out.exists() and source.samefile(out):
        raise InputError(f"{out.name} is the input itself: give the result another name.")


def _made_beside(out: Path) -> Path:
    if out.is_dir():
        raise InputError(f"{out.name} is a folder: give the name of a file.")
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: create it first.")
    beside = out.with_name(f".espcn-{secrets.token_hex(6)}{out.suffix}")
    try:
        beside.touch(exist_ok=False)
    except OSError as error:
        raise InputError(_cannot(out, error)) from error
    return beside


def _cannot(out: Path, error: OSError) -> str:
    return f"{out.name} cannot be written: {error.strerror or error}."
