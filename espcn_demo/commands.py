"""What each verb of `espcn` does: call the library, hand back data for `--json` and text for a person."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from espcn_demo.errors import InputError
from espcn_demo.limits import GENEROUS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """What a verb found: `data` for --json, `text` for a person, and the exit code."""

    data: Mapping[str, Any]
    text: str = ""
    code: int = field(default=0)


Command = Callable[[argparse.Namespace], Outcome]


def probe(args: argparse.Namespace) -> Outcome:
    """What a file is, what would be kept, and what enlarging it would take."""
    from espcn_demo.video.probe import probe

    found = probe(args.input, out_suffix=args.container, codec=args.codec or "h264", scale=args.scale, limits=GENEROUS)
    return Outcome(found.as_dict(), found.text())


def compare(args: argparse.Namespace) -> Outcome:
    """A comparison clip of two clips."""
    from espcn_demo.video.compare import compare

    report = compare(args.before, args.after, args.output, style=args.style)
    return Outcome(report.as_dict(), f"{args.output}: {report.width}x{report.height}")


def measure(args: argparse.Namespace) -> Outcome:
    """PSNR, SSIM and VMAF of every frame."""
    from espcn_demo.video.measure import measure

    found = measure(args.reference, args.result, csv=args.csv, plot=args.plot, vmaf=args.vmaf)
    return Outcome(found.as_dict(), found.text())


def bench(args: argparse.Namespace) -> Outcome:
    """Speed of every backend that runs here."""
    from espcn_demo.bench import run

    sizes = [_size(text) for text in args.sizes] if args.sizes else None
    result = run(sizes=sizes, seconds=args.seconds, weights=args.weights)
    if args.plot:
        result.plot(args.plot)
    return Outcome(result.as_dict(), result.markdown() if args.markdown else result.text())


def engines(args: argparse.Namespace) -> Outcome:
    """The engine cache."""
    from espcn_demo.backends import cache

    if args.action == "build":
        from espcn_demo.backends.tensorrt import build
        from espcn_demo.weights import resolve

        width, height = _size(args.size)
        path = build(resolve(args.weights), width=width, height=height)
        return Outcome({"built": path.name}, f"built {path.name}")
    if args.action == "clear":
        removed = cache.clear()
        return Outcome({"removed": removed}, f"{removed} engines removed")
    entries = cache.entries()
    lines = [f"{entry.name}  {entry.bytes / 2**20:.1f} MiB" for entry in entries]
    return Outcome({"engines": [entry.as_dict() for entry in entries]}, "\n".join(lines) or "no engines in the cache")


def weights(args: argparse.Namespace) -> Outcome:
    """Bundled, cached and Hub weights."""
    from espcn_demo.weights import bundled, resolve

    if args.action == "list":
        return Outcome({"bundled": bundled()}, "\n".join(bundled()))
    if not args.address:
        raise InputError(f"espcn weights {args.action} needs a name, a path or an hf:// address.")
    found = resolve(args.address)
    text = f"{found.name}\nsha256 {found.sha256}\nfile   {found.path}\nwhy    {found.reason}"
    return Outcome({**found.as_dict(), "path": str(found.path)}, text)


def space(args: argparse.Namespace) -> Outcome:
    """A Space with the page."""
    from espcn_demo.space import publish

    report = publish(args.repository, hardware=args.hardware, dry_run=args.dry_run)
    return Outcome(report.as_dict(), report.text())


def serve(args: argparse.Namespace) -> Outcome:
    """The page, until interrupted."""
    from espcn_demo.ui.server import serve

    serve(host=args.host, port=args.port, mcp=args.mcp)
    return Outcome({})


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise InputError(f"{text!r} is not a size: write WIDTHxHEIGHT in pixels, for example 1280x720.")
    return int(width), int(height)


def _warn(notes: tuple[str, ...], path: Path) -> None:
    for note in notes:
        print(f"{path.name}: {note}", file=sys.stderr)
