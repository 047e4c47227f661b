"""What `espcn image` and `espcn video` do with --on ray: the same reports, and how the work was spread."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from espcn_demo import cluster
from espcn_demo.bar import Bar
from espcn_demo.commands import Outcome, clip_options, engine_options, folder_outcome, warn
from espcn_demo.errors import InputError


def image(args: argparse.Namespace) -> Outcome:
    """Enlarge a folder of pictures."""
    if not args.input.is_dir():
        raise InputError(f"--on ray is for folders of pictures; {args.input.name} is made as fast without it.")
    with Bar("pictures") as bar:
        report = cluster.upscale_pictures(
            args.input,
            args.output,
            **_place(args),
            **engine_options(args),
            strip_location=args.strip_location,
            on_file=bar.file,
        )
    _tell(report.cluster)
    return folder_outcome(report)


def video(args: argparse.Namespace) -> Outcome:
    """Enlarge a clip or a folder of clips."""
    options = {**_place(args), **engine_options(args), **clip_options(args, args.output)}
    with Bar("frames") as bar:
        if args.input.is_dir():
            options["codec"] = args.codec  # by each result's own container
            folder = cluster.upscale_clips(args.input, args.output, on_progress=bar.video, **options)
        else:
            report = cluster.upscale_video(args.input, args.output, on_progress=bar.video, **options)
    if args.input.is_dir():
        _tell(folder.cluster)
        return folder_outcome(folder)
    warn(report.notes, args.input)
    _tell(report.cluster)
    share = report.cluster
    text = f"{report.output}: {report.width}x{report.height}, {report.frames} frames, {report.seconds:.1f} s, "
    nodes = ", ".join(f"{one.node}: {one.frames} frames, {one.per_second:.1f} a second" for one in share.nodes)
    return Outcome(
        report.as_dict(), f"{text}{report.backend}, sound {report.audio}, sources by {share.sources}; {nodes}"
    )


def _place(args: argparse.Namespace) -> dict[str, Any]:
    return {name: getattr(args, name) for name in ("on", "workers", "worker_cpus", "worker_gpus")}


def _tell(share: cluster.ClusterShare) -> None:
    """Notes and retries, for a person, on stderr."""
    for note in share.notes:
        print(f"cluster: {note}", file=sys.stderr)
    for retry in share.retries:
        print(f"cluster: {retry.task} was tried again; {retry.node}: {retry.reason}", file=sys.stderr)
