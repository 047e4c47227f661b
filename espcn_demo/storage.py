"""The page's files: one folder a server, cleaned at the start, emptied after the retention time, within a budget.

<root>/<server>/cache   uploads and results (Gradio's cache: what lies here can be downloaded)
<root>/<server>/tmp     half-received uploads and everything that libraries put into the temporary folder
<root>/<server>.lock    locked while the server lives, so that a later one knows what a killed one has left
"""

from __future__ import annotations

import fcntl
import logging
import os
import re
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from .errors import InputError
from .limits import Limits

log = logging.getLogger(__name__)

FULL = "The server's disk is full at the moment; please try again in {:.0f} minutes, when older results are removed."
SERVER = re.compile(r"[0-9a-f]{32}")  # the name of a server's folder
SLACK = 1.25  # a running job may exceed the budget by this factor, so that one which fits nearly is not lost
MEASURED_FOR = 2.0  # seconds that a measured size is believed


class Storage:
    """The files of one running server; made by `start`."""

    def __init__(self, limits: Limits, root: Path) -> None:
        self.limits = limits
        self._lock_file, self.folder = _claim(root)
        self.cache, self.temporary = self.folder / "cache", self.folder / "tmp"
        for folder in (self.folder, self.cache, self.temporary):
            folder.mkdir(mode=0o700)
        self._kept: frozenset[Path] = frozenset()
        self._used: list[Path] = []  # arguments of jobs that wait or run
        self._size = (-MEASURED_FOR, 0)
        self._closed = threading.Event()

    def job(self) -> Path:
        """A new folder for one job's results, with a name that cannot be guessed."""
        folder = self.cache / uuid.uuid4().hex
        folder.mkdir(mode=0o700)
        return folder

    def keep(self) -> None:
        """Never remove what lies here now: the page's own pictures, once the page is built."""
        self._kept = frozenset(_files(self.folder))

    @contextmanager
    def using(self, values: Iterable[object]) -> Iterator[None]:
        """Keep those of a job's arguments that are files or folders in here; their retention starts when it ends."""
        mine = [Path(value) for value in values if isinstance(value, str | Path)]
        mine = [path for path in mine if path.is_relative_to(self.folder)]
        self._used.extend(mine)
        try:
            yield
        finally:
            for path in mine:
                for file in _files(path) if path.is_dir() else [path]:
                    with suppress(FileNotFoundError):
                        os.utime(file)
                self._used.remove(path)

    def require(self, extra: int = 0) -> None:
        """Raise InputError unless `extra` bytes more fit into the budget and onto the disk."""
        if not self.has_room(extra):
            raise InputError(FULL.format(max(1.0, self.limits.retention_seconds / 60)))

    def require_slack(self) -> None:
        """Raise InputError when running jobs have written far more than there was room for when they began."""
        if self.used() > SLACK * self.limits.disk or self.free() < self.limits.disk_reserve / 2:
            raise InputError(FULL.format(max(1.0, self.limits.retention_seconds / 60)))

    def has_room(self, extra: int = 0) -> bool:
        """Whether `extra` bytes more fit into the budget and onto the disk."""
        return self.used() + extra <= self.limits.disk and self.free() - extra >= self.limits.disk_reserve

    def used(self) -> int:
        """Bytes in this server's files, at most two seconds old."""
        measured, size = self._size
        if time.monotonic() - measured >= MEASURED_FOR:
            size = sum(_size(path) for path in _files(self.folder))
            self._size = (time.monotonic(), size)
        return size

    def free(self) -> int:
        """Bytes free on the disk."""
        return shutil.disk_usage(self.folder).free

    def sweep(self) -> int:
        """Remove what is older than the retention time; returns the number of files removed."""
        oldest, removed = time.time() - self.limits.retention_seconds, 0
        for path in _files(self.folder):
            if path not in self._kept and not self._in_use(path) and _changed(path) < oldest:
                path.unlink(missing_ok=True)
                removed += 1
        for name, _, _ in os.walk(self.folder, topdown=False):  # unlike rglob it bears folders that go meanwhile
            folder = Path(name)
            own = folder in (self.folder, self.cache, self.temporary)
            if not own and not self._in_use(folder) and _changed(folder) < oldest:
                _remove_if_empty(folder)
        self._size = (-MEASURED_FOR, 0)
        return removed

    def watch(self) -> None:
        """Sweep ten times in each retention time, at least every minute, in a thread of its own."""
        threading.Thread(target=self._watch, name="storage", daemon=True).start()

    def close(self) -> None:
        """Remove everything: the server stops."""
        self._closed.set()
        shutil.rmtree(self.folder, ignore_errors=True)
        Path(self._lock_file.name).unlink(missing_ok=True)
        self._lock_file.close()

    def _watch(self) -> None:
        while not self._closed.wait(min(60.0, self.limits.retention_seconds / 10)):
            try:
                removed = self.sweep()
            except OSError as error:
                log.warning("files could not be removed: %s", type(error).__name__)
            else:
                if removed:
                    log.info("removed %d files after the retention time", removed)

    def _in_use(self, path: Path) -> bool:
        return any(path.is_relative_to(used) for used in tuple(self._used))


def start(limits: Limits, root: Path | None = None) -> Storage:
    """Remove what killed servers have left under `root`, and make this server's folder the temporary folder.

    Call it before the page is built: Gradio asks for its cache then. `root` is ESPCN_FOLDER or a folder of this
    user in the system's temporary folder.
    """
    if root is None and (stated := os.environ.get("ESPCN_FOLDER")):
        root = Path(stated).resolve()
    root = root or Path(tempfile.gettempdir(), f"espcn-{os.getuid()}")
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InputError("The folder for temporary files cannot be made: set ESPCN_FOLDER to one of yours.") from error
    # In a temporary folder that everybody may write to, another user can have put a link there.
    if root.is_symlink() or root.stat().st_uid != os.getuid():
        raise InputError("The folder for temporary files belongs to another user: set ESPCN_FOLDER to one of yours.")
    cleaned = _clean(root)
    if cleaned:
        log.info("removed the files of %d servers that did not end properly", cleaned)
    storage = Storage(limits, root)
    os.environ["GRADIO_TEMP_DIR"] = str(storage.cache)
    os.environ["TMPDIR"] = tempfile.tempdir = str(storage.temporary)
    storage.watch()
    return storage


def _claim(root: Path) -> tuple[IO[bytes], Path]:
    """A new name under `root` and its locked lock file."""
    while True:
        folder = root / uuid.uuid4().hex
        lock_file = open(folder.with_suffix(".lock"), "xb")  # noqa: SIM115 (it stays open as long as the server lives)
        fcntl.flock(lock_file, fcntl.LOCK_EX)
        if os.path.exists(lock_file.name):  # another server's cleaning can come between the two lines above
            return lock_file, folder
        lock_file.close()


def _clean(root: Path) -> int:
    """Remove the folders whose server is gone, and nothing else that lies there; returns their number."""
    cleaned = 0
    for path in [*root.glob("*.lock"), *root.iterdir()]:
        if path.is_symlink() or not SERVER.fullmatch(path.stem):
            continue
        if path.suffix == ".lock" and path.exists() and _is_free(path):
            shutil.rmtree(path.with_suffix(""), ignore_errors=True)
            path.unlink(missing_ok=True)
            cleaned += 1
        elif path.is_dir() and not path.with_suffix(".lock").exists():
            shutil.rmtree(path, ignore_errors=True)
    return cleaned


def _is_free(path: Path) -> bool:
    with open(path, "rb") as lock_file:
        try:
            fcntl.flock(lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


def _files(folder: Path) -> Iterator[Path]:
    for parent, _, names in os.walk(folder):
        yield from (Path(parent, name) for name in names)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # something is in it, or it is gone
