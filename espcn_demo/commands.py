"""What each verb of `espcn` does: call the library, hand back data for `--json` and text for a person."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espcn_demo.bar import Bar
from espcn_demo.errors import InputError
from espcn_demo.limits import GENEROUS

if TYPE_CHECKING:
    from espcn_demo.folder import FolderReport


@dataclass(frozen=True)
class Outcome:
    """What a verb found: `data` for --json, `text` for a person, and the exit code."""

    data: Mapping[str, Any]
    text: str = ""
    code: int = field(default=0)


Command = Callable[[argparse.Namespace], Outcome]


def image(args: argparse.Namespace) -> Outcome:
    """Enlarge a picture or a folder of pictures."""
    if args.on != "local":
        from espcn_demo import remote

        return remote.image(args)
    from espcn_demo.folder import upscale_folder
    from espcn_demo.image import upscale_image

    why = suit(args)
    options = {**engine_options(args), "strip_location": args.strip_location}
    if args.input.is_dir():
        with Bar("pictures") as bar:
            report = upscale_folder(args.input, args.output, on_file=bar.file, **options)
        return folder_outcome(report)
    with Bar("%") as bar:
        one = upscale_image(args.input, args.output, on_progress=bar.share, **options)
    warn(one.notes, args.input)
    text = f"{one.output}: {one.width}x{one.height}, {one.seconds:.2f} s, {one.backend}{why and f', {why}'}"
    return Outcome({**one.as_dict(), "weights": args.weights, "weights_reason": why}, text)


def video(args: argparse.Namespace) -> Outcome:
    """Enlarge a clip or a folder of clips."""
    if args.on != "local":
        from espcn_demo import remote

        return remote.video(args)
    from espcn_demo.folder import pair_up, work_through
    from espcn_demo.upscaler import open_upscaler
    from espcn_demo.video import READABLE, WRITABLE, VideoReport, upscale_video

    why = suit(args)
    upscaler = open_upscaler(**engine_options(args))

    def one(path: Path, out: Path) -> VideoReport:
        with Bar("frames") as bar:
            report = upscale_video(path, out, upscaler=upscaler, on_progress=bar.video, **clip_options(args, out))
        warn(report.notes, path)
        return report

    if args.input.is_dir():
        pairs = pair_up(args.input, args.output, readable=READABLE, writable=WRITABLE, fallback=".mp4")
        return folder_outcome(work_through(args.input, args.output, pairs, one))
    report = one(args.input, args.output)
    text = f"{report.output}: {report.width}x{report.height}, {report.frames} frames, {report.seconds:.1f} s, "
    text += f"{report.backend}, sound {report.audio}, slowest stage {report.bottleneck}{why and f', {why}'}"
    return Outcome({**report.as_dict(), "weights": args.weights, "weights_reason": why}, text)


def probe(args: argparse.Namespace) -> Outcome:
    """What a file is, what would be kept, and what enlarging it would take."""
    from espcn_demo.video.probe import probe

    found = probe(
        args.input,
        out_suffix=args.container,
        codec=args.codec or "h264",
        crf=18 if args.crf is None else int(args.crf),
        preset=args.preset,
        measure=args.estimate,
        scale=args.scale,
        weights=args.weights,
        backend=args.backend,
        precision=args.precision,
        quality=args.quality,
        limits=GENEROUS,
    )
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
    from espcn_demo.hub import cached, pull
    from espcn_demo.weights import bundled, resolve

    if args.action == "list":
        names, addresses = bundled(), cached()
        lines = [f"{name:28s}{_scores(resolve(name).card)}".rstrip() for name in names]
        return Outcome({"bundled": names, "cached": addresses}, "\n".join([*lines, *addresses]))
    found = pull(args.address) if args.action == "pull" else resolve(args.address)
    text = f"{found.name}\nsha256 {found.sha256}\nfile   {found.path}\nwhy    {found.reason}"
    return Outcome({**found.as_dict(), "path": str(found.path)}, text)


def _scores(card: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {score['psnr']:.2f} dB" for name, score in sorted(card.get("scores", {}).items()))


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


def suit(args: argparse.Namespace) -> str:
    """Choose weights by how strongly a single file was compressed, unless some were asked for; why, "" otherwise."""
    from espcn_demo.suited import weights_for

    args.weights, why = weights_for(args.input, args.weights)
    return why


def engine_options(args: argparse.Namespace) -> dict[str, Any]:
    """The options that choose an engine."""
    return {name: getattr(args, name) for name in ("scale", "weights", "backend", "precision", "quality")}


def clip_options(args: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The options of a clip's result."""
    codec = args.codec or ("vp9" if out.suffix.lower() == ".webm" else "h264")
    given = {"codec": codec, "preset": args.preset, "start": args.start, "duration": args.duration}
    if args.crf is not None:
        given["crf"] = int(args.crf)
    return {**given, "resume": args.resume, "limits": GENEROUS}


def folder_outcome(report: FolderReport) -> Outcome:
    """What became of a folder; exit code 2 when something failed."""
    for failure in report.failed:
        print(f"espcn: {failure.input}: {failure.error}", file=sys.stderr)
    text = f"{report.output}: {len(report.done)} done, {len(report.failed)} failed, {report.skipped} of other kinds"
    return Outcome(report.as_dict(), text, code=2 if report.failed else 0)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.lower().partition("x")
    if not (width.isdigit() and height.isdigit() and int(width) and int(height)):
        raise InputError(f"{text!r} is not a size: write WIDTHxHEIGHT in pixels, for example 1280x720.")
    return int(width), int(height)


def warn(notes: tuple[str, ...], path: Path) -> None:
    """Notes on a result, on stderr."""
    for note in notes:
        print(f"{path.name}: {note}", file=sys.stderr)
