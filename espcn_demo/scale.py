"""What an archive costs: one worker's measured rate turned into machines, time and bytes moved.

Measure one worker on this machine, with a clip of the archive's kind, and plan with its figures:

    python -m espcn_demo.scale measure --clip sample.mp4 --worker-cpus 1
    python -m espcn_demo.scale plan --hours 1000 --size 1280x720 --fps 1.9 --skip-fps 240 --days 14

`plan` without --fps measures first, on a clip that it makes in the wanted size. All sizes are the source's.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from espcn_demo.cluster.rates import Rates, make_clip, measure
from espcn_demo.errors import InputError

OVERHEAD = 0.07  # seconds a segment costs beside its frames (tests/bench_cluster.py measures it)
KEY_FRAMES = 250  # frames between key frames, the usual setting of encoders
_MOST = 10**7  # machines
EFFICIENCY = 0.95  # share of the time that workers of a cluster work; the rest is waiting at the ends of clips


@dataclass(frozen=True)
class Archive:
    """What is to be enlarged.

    hours         of footage
    width, height of a frame, pixels; rate  frames a second
    mbit          a second of the source, as stored
    clip_minutes  length of a clip
    """

    hours: float
    width: int
    height: int
    rate: float = 25.0
    mbit: float = 5.0
    clip_minutes: float = 10.0

    @property
    def frames(self) -> float:
        """In all."""
        return self.hours * 3600 * self.rate


@dataclass(frozen=True)
class Plan:
    """What it takes.

    worker_hours   of work, everything included
    days           from beginning to end with this many machines
    source_bytes   read by the workers from a path that they share
    sent_bytes     sent instead, once to each machine, when they cannot
    result_bytes   sent to the head, which needs head_mbit a second for it on average
    cost           in the currency of the price of a machine hour, None without a price
    """

    machines: int
    workers: int
    worker_hours: float
    days: float
    segments: int
    source_bytes: float
    sent_bytes: float
    result_bytes: float
    head_mbit: float
    cost: float | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


def plan(
    archive: Archive,
    rates: Rates,
    *,
    workers_per_machine: int,
    machines: int | None = None,
    days: float | None = None,
    price: float | None = None,
    overhead: float = OVERHEAD,
    efficiency: float = EFFICIENCY,
) -> Plan:
    """Machines for a number of days, or days for a number of machines.

    A worker goes to another place about twice a clip, and decodes frames from a key frame on for nothing then.

    Raises:
        InputError: a figure that is not positive, or both or neither of `machines` and `days`.
    """
    figures = [archive.hours, archive.rate, archive.mbit, archive.clip_minutes]
    figures += [rates.fps, rates.skip_fps, workers_per_machine, efficiency]
    if not all(value > 0 and math.isfinite(value) for value in figures):
        raise InputError("hours, rates, bit rates and workers must be greater than zero.")
    given = days if machines is None else machines
    if (machines is None) == (days is None) or given is None or not given > 0:
        raise InputError("give either a number of machines or a number of days.")
    segments = math.ceil(archive.frames / rates.segment)
    if machines is None:
        assert days is not None
        limit = days * 86_400
        machines = 1 + bisect_left(
            range(1, _MOST),
            True,
            key=lambda count: _seconds(archive, rates, count * workers_per_machine, overhead, efficiency) <= limit,
        )
    workers = machines * workers_per_machine
    seconds = _seconds(archive, rates, workers, overhead, efficiency)
    source = archive.hours * 3600 * archive.mbit * 1e6 / 8
    result = archive.frames * rates.bits / 8
    return Plan(
        machines=machines,
        workers=workers,
        worker_hours=seconds * workers / 3600,
        days=seconds / 86_400,
        segments=segments,
        source_bytes=source * (1 + _skipped(archive, rates, workers) / rates.segment),
        sent_bytes=source * machines,
        result_bytes=result,
        head_mbit=result * 8 / 1e6 / seconds,
        cost=None if price is None else price * machines * seconds / 3600,
    )


def _skipped(archive: Archive, rates: Rates, workers: int) -> float:
    """Frames that are decoded for nothing, for each segment."""
    segments = max(1.0, archive.clip_minutes * 60 * archive.rate / rates.segment)
    return KEY_FRAMES * 1.5 * min(1.0, 2 * (workers - 1) / segments)


def _seconds(archive: Archive, rates: Rates, workers: int, overhead: float, efficiency: float) -> float:
    """From beginning to end."""
    each = rates.segment / rates.fps + _skipped(archive, rates, workers) / rates.skip_fps + overhead
    return archive.frames / rates.segment * each / workers / efficiency


def main(argv: Sequence[str] | None = None) -> int:
    """`python -m espcn_demo.scale`; returns the exit code."""
    args = _parser().parse_args(argv)
    try:
        result: dict[str, Any] = args.run(args)
    except InputError as error:
        print(f"scale: {error}", file=sys.stderr)
        return 2
    print(json.dumps(result) if args.json else _text(result))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m espcn_demo.scale", description="What an archive costs.")
    verbs = parser.add_subparsers(required=True, metavar="COMMAND")
    one = verbs.add_parser("measure", help="what one worker does on this machine")
    one.add_argument("--clip", type=Path, required=True, help="a clip of the kind that is to be enlarged")
    one.set_defaults(run=_measure)
    two = verbs.add_parser("plan", help="machines, time and bytes for an archive")
    two.add_argument("--hours", type=float, required=True, help="hours of footage")
    two.add_argument("--size", required=True, metavar="WxH", help="of the source's frames, pixels")
    two.add_argument("--rate", type=float, default=25.0, help="frames a second of the footage (default 25)")
    two.add_argument("--mbit", type=float, default=5.0, help="bit rate of the source in Mbit/s (default 5)")
    two.add_argument("--clip-minutes", type=float, default=10.0, help="length of a clip (default 10)")
    two.add_argument("--clip", type=Path, help="a sample to measure with")
    two.add_argument("--fps", type=float, help="frames a second of one worker, instead of measuring")
    two.add_argument("--skip-fps", type=float, help="frames a second that one worker decodes (default 40 times --fps)")
    two.add_argument("--mbit-out", type=float, help="bit rate of the result in Mbit/s (default as measured)")
    two.add_argument("--workers-per-machine", type=int, default=1, help="default 1")
    amount = two.add_mutually_exclusive_group()
    amount.add_argument("--machines", type=int, help="how many there are (default 1)")
    amount.add_argument("--days", type=float, help="how long it may take")
    amount.add_argument(
        "--markdown", type=int, nargs="+", metavar="MACHINES", help="a table with a row for each number of machines"
    )
    two.add_argument("--price", type=float, help="of one machine for an hour")
    two.set_defaults(run=_plan)
    for verb in (one, two):
        verb.add_argument("--worker-cpus", type=float, default=1.0, help="cores of a worker (default 1)")
        verb.add_argument("--backend", default="auto")
        verb.add_argument("--weights", metavar="W")
        verb.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _measure(args: argparse.Namespace) -> dict[str, Any]:
    return asdict(measure(args.clip, worker_cpus=args.worker_cpus, backend=args.backend, weights=args.weights))


def _plan(args: argparse.Namespace) -> dict[str, Any]:
    from espcn_demo.video.settings import batch_frames, segment_frames

    width, height = _size(args.size)
    archive = Archive(args.hours, width, height, args.rate, args.mbit, args.clip_minutes)
    if args.fps:
        segment = segment_frames(width, height, batch_frames(width, height))
        rates = Rates(args.fps, args.skip_fps or 40 * args.fps, segment, 4 * args.mbit * 1e6 / args.rate, "as given")
    elif args.clip:
        rates = measure(args.clip, worker_cpus=args.worker_cpus, backend=args.backend, weights=args.weights)
    else:
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / f"made-{width}x{height}.mp4"
            make_clip(path, width, height)
            rates = measure(path, worker_cpus=args.worker_cpus, backend=args.backend, weights=args.weights)
    if args.mbit_out:
        rates = Rates(rates.fps, rates.skip_fps, rates.segment, args.mbit_out * 1e6 / args.rate, rates.source)
    common: dict[str, Any] = {"workers_per_machine": args.workers_per_machine, "price": args.price}
    about = {"rates": asdict(rates), "archive": asdict(archive)}
    if args.markdown:
        return {"plans": [plan(archive, rates, machines=one, **common).as_dict() for one in args.markdown], **about}
    machines = args.machines or (None if args.days else 1)
    return {**plan(archive, rates, machines=machines, days=args.days, **common).as_dict(), **about}


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise InputError(f"{text!r} is not a size: write WIDTHxHEIGHT in pixels, for example 1280x720.")
    return int(width), int(height)


def _text(result: dict[str, Any]) -> str:
    if "plans" in result:
        return _table(result["plans"])
    rates = result.get("rates", result)
    lines = [
        f"one worker      {rates['fps']:.2f} frames/s, passes over {rates['skip_fps']:.0f} frames/s ({rates['source']})"
    ]
    if "machines" in result:
        cost = "" if result["cost"] is None else f", {result['cost']:,.0f} for the machines"
        lines += [
            f"machines        {result['machines']} with {result['workers']} workers",
            f"time            {result['days']:.2f} days, {result['worker_hours']:,.0f} worker hours{cost}",
            f"segments        {result['segments']:,}",
            f"sources         {_bytes(result['source_bytes'])} read by shared path, "
            f"or {_bytes(result['sent_bytes'])} sent to the machines",
            f"results         {_bytes(result['result_bytes'])} to the head, {result['head_mbit']:.1f} Mbit/s",
        ]
    return "\n".join(lines)


def _table(plans: Sequence[dict[str, Any]]) -> str:
    lines = [
        "| machines | workers | days | worker hours | read by shared path | to the head |",
        "|---:|---:|---:|---:|---:|---:|",
    ]
    lines += [
        f"| {one['machines']} | {one['workers']} | {one['days']:.1f} | {one['worker_hours']:,.0f} "
        f"| {_bytes(one['source_bytes'])} | {_bytes(one['result_bytes'])}, {one['head_mbit']:.0f} Mbit/s |"
        for one in plans
    ]
    return "\n".join(lines)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000:
            return f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} PB"


if __name__ == "__main__":
    sys.exit(main())
