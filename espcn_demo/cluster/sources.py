"""How a worker gets at a file of the head: by the same path when both see the same file, else through Ray."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from espcn_demo.cluster.tasks import Source
from espcn_demo.video.segments import identity

PART = 8 << 20  # bytes of a source in one object: little to hold, few objects


def describe(path: Path) -> Source:
    """A source as workers are told of it."""
    return Source(str(path.absolute()), identity(path))


def parts_of(path: Path) -> Iterator[bytes]:
    """The content, PART bytes at a time."""
    with path.open("rb") as file:
        while part := file.read(PART):
            yield part


def why_unseen(source: Source, *, node: str) -> str | None:
    """Why this process cannot read the source by its path; None when it can."""
    try:
        found = identity(Path(source.path))
    except OSError as error:
        return f"{node} cannot read {source.path} ({error.strerror or error})"
    return None if found == source.identity else f"{node} has another file at {source.path}"


class Cupboard:
    """Where the workers of one run on one machine keep sources that came through Ray; each is fetched once."""

    def __init__(self, run: str) -> None:
        self._folder = Path(tempfile.gettempdir()) / f"espcn-{run}"

    def find(self, source: Source) -> Path | None:
        """The local copy, if there is one."""
        path = self._place(source)
        return path if path.is_file() else None

    def fetch(self, source: Source) -> Path:
        """Copy a source from Ray's object store, unless another worker of this machine has done so meanwhile."""
        import fcntl

        ray: Any = import_module("ray")
        self._folder.mkdir(mode=0o700, exist_ok=True)
        path = self._place(source)
        with path.with_suffix(".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not path.is_file():
                partial = path.with_suffix(".part")
                with partial.open("wb") as file:
                    for part in source.parts:
                        file.write(ray.get(part))
                os.replace(partial, path)
        return path

    def clear(self) -> None:
        """Remove all copies of the run."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _place(self, source: Source) -> Path:
        """A folder of its own for each content, so that the file keeps the name that sentences use."""
        known: Any = source.identity
        folder = self._folder / f"{known['sha256_of_ends'][:32]}-{known['bytes']}"
        if self._folder.is_dir():
            folder.mkdir(exist_ok=True)
        return folder / (Path(source.path).name or "source")
