"""Scaling efficiency: one worker of one core against two, on a real Ray cluster on this machine, and the overhead.

    python -m tests.bench_cluster [--size 448x336] [--frames 1392] [--backend auto] [--json]

Needs two cores with nothing else to do. Prints a Markdown table, or a JSON object. Efficiency is frames a
second of two workers over twice those of one; time counts from the first worker's being ready to the last segment's
arrival. Overhead is what one worker's time holds beside its work, for each segment.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from espcn_demo.backends.machine import processor
from espcn_demo.cluster.rates import make_clip
from tests.ray_nodes import Cluster


def main() -> int:
    parser = argparse.ArgumentParser(description="Efficiency of two workers against one.")
    parser.add_argument("--size", default="448x336", help="of the source's frames, pixels")
    parser.add_argument("--frames", type=int, default=1392, help="default 1392, six whole segments")
    parser.add_argument("--backend", default="auto")
    parser.add_argument("--rounds", type=int, default=1, help="the best of so many counts")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of the table")
    args = parser.parse_args()
    width, height = (int(side) for side in args.size.split("x"))
    print(f"load before: {os.getloadavg()[0]:.1f}", file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        clip = Path(folder) / "clip.mp4"
        make_clip(clip, width, height, frames=args.frames)
        cluster = Cluster(Path(folder))
        try:
            cluster.start(2)
            runs = {count: best(cluster, clip, args, workers=count) for count in (1, 2)}
        finally:
            cluster.stop()
    one, two = runs[1], runs[2]
    efficiency = one["seconds"] / two["seconds"] / 2
    overhead = (one["seconds"] - one["busy"]) / one["segments"]
    if args.json:
        print(json.dumps({"efficiency": efficiency, "overhead": overhead, "runs": runs}))
        return 0
    print("| workers of one core | frames a second | seconds |\n|---:|---:|---:|")
    for count, run in runs.items():
        print(f"| {count} | {args.frames / run['seconds']:.2f} | {run['seconds']:.1f} |")
    print(f"\nEfficiency of two against one: {efficiency:.3f}. Overhead: {1000 * overhead:.0f} ms a segment ", end="")
    print(f"of {args.frames / one['segments']:.0f} frames, {args.size}, {one['engine']}; {processor()}.")
    return 0


def best(cluster: Cluster, clip: Path, args: argparse.Namespace, *, workers: int) -> dict[str, Any]:
    """The fastest of some runs with so many workers."""
    runs = [once(cluster, clip, args.backend, workers) for _ in range(args.rounds)]
    return min(runs, key=lambda run: run["seconds"])


def once(cluster: Cluster, clip: Path, backend: str, workers: int) -> dict[str, Any]:
    """One run."""
    where = [str(clip), str(clip.with_name("out.mp4")), "--on", cluster.address, "--workers", str(workers)]
    done = subprocess.run(
        [sys.executable, "-m", "espcn_demo", "video", *where, "--backend", backend, "--json"],
        env=cluster.environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    share = json.loads(done.stdout)["cluster"]
    return {
        "seconds": share["seconds"],
        "busy": sum(node["busy"] for node in share["nodes"]),
        "segments": sum(node["tasks"] for node in share["nodes"]),
        "engine": share["engine"],
        "retries": share["retries"],
    }


if __name__ == "__main__":
    sys.exit(main())
