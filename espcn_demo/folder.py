"""Folders in, folders out: the same tree, each file enlarged, a bad one reported and passed over."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from espcn_demo.errors import InputError
from espcn_demo.files import refuse_same
from espcn_demo.image import READABLE, WRITABLE, upscale_image
from espcn_demo.limits import Limits
from espcn_demo.upscaler import Upscaler, open_upscaler


class Report(Protocol):
    """What became of one file."""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""


@dataclass(frozen=True)
class Failure:
    """A file that could not be enlarged, and the sentence that says why."""

    input: str
    error: str


@dataclass(frozen=True)
class FolderReport:
    """What became of a folder; `skipped` counts the files of other kinds, by their suffix."""

    input: str
    output: str
    done: tuple[Report, ...]
    failed: tuple[Failure, ...]
    skipped: int
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "input": self.input,
            "output": self.output,
            "files": [report.as_dict() for report in self.done],
            "failed": [{"input": failure.input, "error": failure.error} for failure in self.failed],
            "skipped": self.skipped,
            "seconds": self.seconds,
        }


def upscale_folder(
    source: Path | str,
    out: Path | str,
    *,
    scale: int = 2,
    upscaler: Upscaler | None = None,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
    quality: str = "fast",
    strip_location: bool = False,
    limits: Limits | None = None,
    on_file: Callable[[int, int, Path], None] | None = None,
) -> FolderReport:
    """Enlarge every picture under `source` into the same place under `out`, which is made when missing.

    A picture keeps its name; one in a format that is not written (JPEG 2000, PPM) gets ".png" behind it. `on_file` is
    called before each with its number, their count and its path; the other options are those of `upscale_image`.

    Raises:
        InputError: `source` is no folder or holds no picture, `out` is `source` or cannot be made, no engine runs.
    """
    source, out = Path(source), Path(out)
    pairs = pair_up(source, out, readable=READABLE, writable=WRITABLE, fallback=".png")
    engine = upscaler or open_upscaler(
        scale=scale, weights=weights, backend=backend, precision=precision, quality=quality
    )

    def one(path: Path, target: Path) -> Report:
        return upscale_image(path, target, upscaler=engine, strip_location=strip_location, limits=limits)

    return work_through(source, out, pairs, one, on_file=on_file)


def work_through(
    source: Path,
    out: Path,
    pairs: tuple[list[tuple[Path, Path]], int],
    one: Callable[[Path, Path], Report],
    *,
    on_file: Callable[[int, int, Path], None] | None = None,
) -> FolderReport:
    """Call `one` with each pair of `pair_up`; a file that raises InputError is reported and passed over."""
    started = time.perf_counter()
    found, skipped = pairs
    done: list[Report] = []
    failed: list[Failure] = []
    for number, (path, target) in enumerate(found, 1):
        if on_file is not None:
            on_file(number, len(found), path)
        try:
            make_folder(target.parent)
            done.append(one(path, target))
        except InputError as error:
            failed.append(Failure(str(path), str(error)))
    return FolderReport(str(source), str(out), tuple(done), tuple(failed), skipped, time.perf_counter() - started)


def pair_up(
    source: Path, out: Path, *, readable: Collection[str], writable: Collection[str], fallback: str
) -> tuple[list[tuple[Path, Path]], int]:
    """Files under `source` with a readable suffix, each with its place under `out`, and the number of others.

    Raises:
        InputError: `source` is no folder or holds no such file, or `out` is `source` or a file.
    """
    if not source.is_dir():
        raise InputError(f"{source.name} is not a folder.")
    if out.exists() and not out.is_dir():
        raise InputError(f"{out.name} is a file: give a folder for the results of a folder.")
    refuse_same(source, out)
    pairs, others = [], 0
    for path in _files(source, out):
        suffix = path.suffix.lower()
        if suffix not in readable:
            others += 1
            continue
        target = out / path.relative_to(source)
        pairs.append((path, target if suffix in writable else target.with_name(target.name + fallback)))
    if not pairs:
        raise InputError(f"{source.name} holds no file of a kind this can enlarge.")
    return pairs, others


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; raises InputError when that is not possible."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be made: {error.strerror or error}.") from error


def _files(source: Path, out: Path) -> Iterator[Path]:
    """All files under `source` in a fixed order, without hidden ones and those under `out`."""
    inside = out.resolve()
    for path in sorted(source.rglob("*")):
        hidden = any(part.startswith(".") for part in path.relative_to(source).parts)
        if path.is_file() and not hidden and not path.resolve().is_relative_to(inside):
            yield path
