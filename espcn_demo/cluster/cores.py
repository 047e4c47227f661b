"""Cores of one's own: a worker keeps to as many cores as it was promised, and no two workers share one.

Ray counts cores but does not hand out particular ones; without this, two workers of one machine would each start
threads for all of it. A lock file for each core, held as long as the process lives, keeps several runs apart.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # open as long as the process lives; the kernel releases the locks when it dies


def keep_to_cores(count: float) -> tuple[int, ...]:
    """Bind this process to `count` cores that no other worker holds; () when that is not possible here."""
    if not hasattr(os, "sched_setaffinity") or count < 1 or count != int(count):
        return ()
    import fcntl

    folder = Path(tempfile.gettempdir()) / f"espcn-cores-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    taken: dict[int, IO[str]] = {}
    for core in sorted(os.sched_getaffinity(0)):
        lock: IO[str] = (folder / f"{core}.lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.close()
            continue
        taken[core] = lock
        if len(taken) == count:
            os.sched_setaffinity(0, taken)
            _held.extend(taken.values())
            return tuple(taken)
    for lock in taken.values():
        lock.close()
    return ()
