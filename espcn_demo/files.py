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

    The file is made first of all, so that a folder without write permission is refused before any work.

    Raises:
        InputError: the folder is missing or cannot be written, the disk is full, or `out` is a folder.
    """
    if out.is_dir():
        raise InputError(f"{out.name} is a folder: give the name of a file.")
    if not out.parent.is_dir():
        raise InputError(f"the folder {out.parent} does not exist: create it first.")
    beside = out.with_name(f".espcn-{secrets.token_hex(6)}{out.suffix}")
    try:
        beside.touch(exist_ok=False)
        yield beside
        os.replace(beside, out)
    except OSError as error:
        raise InputError(f"{out.name} cannot be written: {error.strerror or error}.") from error
    finally:
        beside.unlink(missing_ok=True)


def refuse_same(source: Path, out: Path) -> None:
    """Raise InputError when both names mean one file or folder."""
    if source.exists() and out.exists() and source.samefile(out):
        raise InputError(f"{out.name} is the input itself: give the result another name.")
