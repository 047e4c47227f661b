"""Load on the running page: thirty visitors, and what becomes of it.

    python -m tests.load                      30 visitors for 5 minutes, then kill -9 in the middle of more load
    python -m tests.load --strict --table     the same, as a table; readme_numbers.py puts it into README.md
    python -m tests.load --visitors 4 --seconds 20

Loopback only. The script starts the page itself, with small limits. Visitors send pictures and clips that carry their
own mark and check that they get their own result back; they also cancel, close the tab, and send broken and oversize
files. Meanwhile a process of its own asks /healthz four times a second and reads the memory of all processes. Exit
code 1 when a promise is broken; `--strict` includes the 200 ms of the health answer, which a busy machine cannot keep.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from .load_page import Page
from .load_visitor import Visitor
from .load_watch import Watch

FLAT = 150  # MiB that the processes' memory may still grow by after the first minute
HEALTH = 0.2  # seconds
RETENTION = 45.0  # seconds, so that the script can see results go


def main(argv: list[str] | None = None) -> int:
    """Run the load; see the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--visitors", type=int, default=30, help="visitors at the same time")
    parser.add_argument("--seconds", type=float, default=300, help="how long they come, seconds")
    parser.add_argument("--port", type=int, default=7866, help="port for the page")
    parser.add_argument("--seed", type=int, default=1, help="of the visitors' choices")
    parser.add_argument("--strict", action="store_true", help="fail when a health answer takes longer than 200 ms")
    parser.add_argument("--brief", action="store_true", help="without waiting for the retention time, and no kill -9")
    parser.add_argument("--table", action="store_true", help="print the figures as README.md holds them")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="load-") as name:
        folder = Path(name)
        page = Page(folder, options.port, retention=RETENTION)
        figures, problems = {}, []
        try:
            page.start()
            page.warm()
            figures |= attend(page, folder, options, problems)
            if not options.brief:
                figures |= leave(page, problems)
                figures |= kill(page, folder, options, problems)
        except BaseException:
            print(table(figures), *problems, sep="\n", file=sys.stderr)  # what is known so far
            raise
        finally:
            page.stop()
        if left := page.leftovers():
            problems.append(f"left after the end: {left}")
    if options.strict and figures["slowest health answer, ms"] > 1_000 * HEALTH:
        problems.append("a health answer took longer than 200 ms")
    print(table(figures) if options.table else json.dumps(figures, indent=2))
    for problem in problems:
        print(f"BROKEN: {problem}", file=sys.stderr)
    return 1 if problems else 0


def attend(page: Page, folder: Path, options: argparse.Namespace, problems: list[str]) -> dict[str, object]:
    """Let the visitors come; returns the figures of the whole time."""
    watch = Watch(page.address, page.pid)
    visitors = [
        Visitor(number, page, folder, random.Random(options.seed * 1_000 + number))
        for number in range(options.visitors)
    ]
    until = time.monotonic() + options.seconds
    threads = [threading.Thread(target=visitor.run, args=(until,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seen = watch.end()
    counts: Counter[str] = sum((visitor.counts for visitor in visitors), Counter())
    problems += [f"visitor {visitor.number}: {text}" for visitor in visitors for text in visitor.problems]
    if not page.alive():
        problems.append("the server has ended")
    if options.seconds >= 120 and seen.growth() > FLAT:
        problems.append(f"memory grew by {seen.growth():.0f} MiB after the first minute")
    if not options.brief and not (counts["picture"] and counts["clip"]):
        problems.append("no picture or no clip came through")
    waits = sorted(seconds for visitor in visitors for seconds in visitor.seconds)
    delays = sorted(seen.delays)
    return {
        "visitors": options.visitors,
        "seconds": round(options.seconds),
        **{f"{what}s": counts[what] for what in sorted(counts)},
        "mixed-up or wrong results": sum("result" in text for visitor in visitors for text in visitor.problems),
        "median seconds for a picture": round(statistics.median(waits), 1) if waits else None,
        "most jobs waiting": seen.waiting,
        "median health answer, ms": round(1_000 * statistics.median(delays), 1),
        "slowest health answer, ms": round(1_000 * delays[-1], 1),
        "memory at the end, MiB": round(seen.memory[-1][1]),
        "memory growth after the first minute, MiB": round(seen.growth(), 1),
        "worker crashes": page.crashes(),
    }


def leave(page: Page, problems: list[str]) -> dict[str, object]:
    """Everybody has gone: after the retention time nothing of theirs is left."""
    deadline = time.monotonic() + 3 * RETENTION
    while (left := page.files()) and time.monotonic() < deadline:
        time.sleep(0.5)
    queue = page.health()["queue"]
    if left:
        problems.append(f"{len(left)} files are left after the retention time")
    if queue["waiting"] or queue["running"]:
        problems.append(f"jobs are left: {queue}")
    return {"files left after the retention time": len(left)}


def kill(page: Page, folder: Path, options: argparse.Namespace, problems: list[str]) -> dict[str, object]:
    """kill -9 in the middle of load, and a restart."""
    visitors = [
        Visitor(100 + number, page, folder, random.Random(number)) for number in range(min(8, options.visitors))
    ]
    until = time.monotonic() + 8
    threads = [threading.Thread(target=visitor.run, args=(until,)) for visitor in visitors]
    for thread in threads:
        thread.start()
    time.sleep(5)
    children = page.kill()
    for thread in threads:
        thread.join()
    began = time.monotonic()
    page.start()
    seconds = time.monotonic() - began
    if seconds > 10 and options.strict:
        problems.append(f"the page is back after {seconds:.1f} s only")
    if left := page.files():
        problems.append(f"{len(left)} files of the killed server are left")
    if alive := [process.pid for process in children if process.is_running() and process.status() != "zombie"]:
        problems.append(f"processes of the killed server are left: {alive}")
    return {"seconds until the page is back after kill -9": round(seconds, 1)}


def table(figures: dict[str, object]) -> str:
    """The figures in Markdown."""
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in figures.items())])


if __name__ == "__main__":
    sys.exit(main())
