"""The cache of compiled TensorRT engines on disk.

A file's name says what it was built for: network, GPU, versions, precision and shape, and ends in a digest of all of
it. A file is written under a temporary name and renamed, its SHA-256 beside it; one process builds while others wait;
the least recently used files make room. Whatever is wrong with the cache, the caller gets a working engine and the
log a line: a file that does not load is deleted and built again, and one that cannot be written is built for this
process only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

log = logging.getLogger(__name__)

VARIABLE = "ESPCN_ENGINE_CACHE"
SUFFIX = ".pt2"  # torch.export asks for it
LARGEST = 2 * 2**30  # bytes kept; an engine takes about 1 MiB
_BUILDING = ".building-"
Engine = TypeVar("Engine")


@dataclass(frozen=True)
class Key:
    """Everything that an engine depends on."""

    weights: str  # SHA-256 of the weights file
    gpu: str
    sm: str  # compute capability, "90"
    torch: str
    torch_tensorrt: str
    tensorrt: str
    precision: str
    shape: str  # "1x1x720x1280", or the ranges of a dynamic profile
    form: str = "1"  # of the exported graph; raised when that changes

    @property
    def file_name(self) -> str:
        """Readable, and different for every difference."""
        digest = hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()[:16]
        parts = [self.weights[:8], self.gpu, f"sm{self.sm}", f"trt{self.tensorrt}", self.precision, self.shape]
        readable = "-".join(re.sub(r"[^A-Za-z0-9.]+", "_", part)[:32] for part in parts)
        return f"{readable}-{digest}{SUFFIX}"


@dataclass(frozen=True)
class Entry:
    """One engine in the cache."""

    name: str
    bytes: int
    used: float  # seconds since 1970

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def folder() -> Path:
    """Where engines are kept: the variable ESPCN_ENGINE_CACHE, else the user's cache folder."""
    if stated := os.environ.get(VARIABLE):
        return Path(stated)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "espcn_demo" / "engines"


def entries() -> list[Entry]:
    """The engines in the cache, most recently used first."""
    found = []
    for path in folder().glob(f"[!.]*{SUFFIX}"):
        with contextlib.suppress(OSError):  # removed meanwhile
            status = path.stat()
            found.append(Entry(path.name, status.st_size, status.st_mtime))
    return sorted(found, key=lambda entry: -entry.used)


def clear() -> int:
    """Delete all engines, and what an interrupted build left; returns how many engines there were."""
    found = entries()
    for path in folder().glob(f"{_BUILDING}*"):
        discard(path)
    for entry in found:
        discard(folder() / entry.name)
    return len(found)


def discard(path: Path) -> None:
    """Delete an engine and its checksum; one that is gone already is fine."""
    for part in (path, _checksum(path)):
        try:
            part.unlink(missing_ok=True)
        except OSError as error:
            log.warning("engine cache: %s cannot be deleted: %s", part.name, error)


def obtain(
    key: Key,
    *,
    build: Callable[[], Engine],
    save: Callable[[Engine, Path], None],
    load: Callable[[Path], Engine],
    largest: int = LARGEST,
) -> Engine:
    """The engine for `key`: from the cache when it loads, else built and kept; only `build`'s errors are raised."""
    path = folder() / key.file_name
    engine = _loaded(path, load)
    if engine is not None:
        return engine
    with _locked(path):
        engine = _loaded(path, load)  # another process may have built it while this one waited
        if engine is not None:
            return engine
        log.info("engine cache: building %s", path.name)
        engine = build()
        _keep(engine, path, save)
        _trim(largest, keep=path.name)
    return engine


def _loaded(path: Path, load: Callable[[Path], Engine]) -> Engine | None:
    try:
        if not path.is_file():
            return None
        stated = _checksum(path).read_text(encoding="ascii").strip()
        if hashlib.sha256(path.read_bytes()).hexdigest() != stated:
            raise ValueError("its SHA-256 differs from the one written with it")
        engine = load(path)
        os.utime(path)  # the least recently used make room
    except Exception as error:
        # A foreign, truncated or outdated file can fail in any way inside the loader; a new one is built.
        log.warning("engine cache: %s does not load and is built again: %s", path.name, error)
        discard(path)
        return None
    log.info("engine cache: loaded %s", path.name)
    return engine


def _keep(engine: Engine, path: Path, save: Callable[[Engine, Path], None]) -> None:
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=_BUILDING, suffix=SUFFIX)
        os.close(handle)
        temporary = Path(name)
        save(engine, temporary)
        _checksum(path).write_text(hashlib.sha256(temporary.read_bytes()).hexdigest() + "\n", encoding="ascii")
        os.replace(temporary, path)
    except Exception as error:
        # Full disk, unwritable folder, a saver that fails: the engine in hand works all the same.
        log.warning("engine cache: %s cannot be kept: %s", path.name, error)
        if temporary is not None:
            discard(temporary)
        discard(path)


def _trim(largest: int, *, keep: str) -> None:
    total = 0
    for entry in entries():
        total += entry.bytes
        if total > largest and entry.name != keep:
            log.info("engine cache: %s makes room", entry.name)
            discard(folder() / entry.name)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """One process at a time; without a lock where the folder or the platform has none."""
    try:
        import fcntl

        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        handle = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR, 0o600)
    except (ImportError, OSError) as error:
        log.warning("engine cache: no lock for %s: %s", path.name, error)
        yield
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # which releases the lock


def _checksum(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")
