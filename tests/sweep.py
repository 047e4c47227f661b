"""Every file of some folders through the real command line: enlarged correctly, or refused in one sentence.

    python tests/sweep.py FOLDER [FOLDER...] [--only NAME] [--timeout SECONDS] [--backend NAME]

Each picture goes through `espcn image`, each clip through `espcn video`, an animated GIF through both. Either the exit
code is 0 and the one file written is exactly twice as large, decodes, shows the same picture and has the same kind of
samples or number of frames; or it is 2, stderr has one line and nothing is left. Prints a table; exits with 1 when
anything else happens.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from espcn_demo.image import READABLE as PICTURES
from espcn_demo.image import WRITABLE as PICTURE_FORMATS
from espcn_demo.image import Picture, read_picture
from espcn_demo.planes import luma_of, over_white, to_depth
from espcn_demo.video import READABLE as CLIPS
from espcn_demo.video import WRITABLE as CLIP_FORMATS

CLOSE = 8.0  # mean difference of luma in code values of 255 between a source and its result shrunk by two
REFUSED, DONE = 2, 0

Check = Callable[[Path, Path, dict[str, Any]], str]


class WrongError(Exception):
    """What is wrong with a result."""


def main(argv: list[str] | None = None) -> int:
    """Sweep the folders of the command line; 0 when every file passes."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", default="", help="files whose name contains this")
    parser.add_argument("--timeout", type=float, default=900.0, help="seconds for one file (default 900)")
    parser.add_argument("--backend", default="auto")
    args = parser.parse_args(argv)
    wrong = counted = 0
    for path, verb, suffix, check in jobs(args.folders):
        if args.only not in path.name:
            continue
        started = time.monotonic()
        try:
            outcome, text = run(path, verb, suffix, check, args.backend, args.timeout)
        except WrongError as error:
            outcome, text = "WRONG", str(error)
            wrong += 1
        counted += 1
        print(f"{outcome:8} {verb:5} {time.monotonic() - started:6.1f} s  {path.name}: {text}", flush=True)
    print(f"{counted} runs, {wrong} wrong")
    return 1 if wrong or not counted else 0


def jobs(folders: list[Path]) -> Iterator[tuple[Path, str, str, Check]]:
    """Each file with the verb that enlarges it, the suffix of its result, and the check of that."""
    for folder in folders:
        for path in sorted(one for one in folder.rglob("*") if one.is_file()):
            suffix = path.suffix.lower()
            if suffix in PICTURES:
                yield path, "image", suffix if suffix in PICTURE_FORMATS else ".png", check_picture
            if suffix in CLIPS:
                yield path, "video", suffix if suffix in CLIP_FORMATS else ".mp4", check_clip


def run(path: Path, verb: str, suffix: str, check: Check, backend: str, timeout: float) -> tuple[str, str]:
    """One file through the command line; raises WrongError when neither rule is kept."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / f"result{suffix}"
        command = [
            sys.executable,
            "-m",
            "espcn_demo",
            verb,
            str(path.resolve()),
            str(out),
            "--json",
            "--backend",
            backend,
        ]
        try:
            ended = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=folder, check=False)
        except subprocess.TimeoutExpired as error:
            raise WrongError(f"still running after {timeout:g} s") from error
        left = sorted(one.name for one in Path(folder).iterdir())
        if ended.returncode == REFUSED:
            return "refused", refusal(ended, left)
        if ended.returncode != DONE:
            raise WrongError(f"exit code {ended.returncode}: {ended.stderr.strip()[-300:]}")
        if left != [out.name]:
            raise WrongError(f"left {left}")
        try:
            return "done", check(path, out, json.loads(ended.stdout))
        except json.JSONDecodeError as error:
            raise WrongError(f"stdout is not one JSON object: {ended.stdout[:200]!r}") from error


def refusal(ended: subprocess.CompletedProcess[str], left: list[str]) -> str:
    """The sentence of a refusal."""
    lines = ended.stderr.splitlines()
    if len(lines) != 1 or ended.stdout:
        raise WrongError(f"{len(lines)} lines on stderr, stdout {ended.stdout[:80]!r}: {ended.stderr.strip()[-300:]}")
    if left:
        raise WrongError(f"refused, but left {left}")
    return lines[0]


def check_picture(source: Path, out: Path, report: dict[str, Any]) -> str:
    """Size, kind of samples and content of an enlarged picture."""
    from PIL import Image, ImageOps

    before, after = read_picture(source), read_picture(out)
    with Image.open(source) as image:  # Pillow's own idea of upright
        width, height = ImageOps.exif_transpose(image).size
    expect("size", (after.width, after.height), (2 * width, 2 * height))
    expect("reported size", (report["width"], report["height"]), (2 * width, 2 * height))
    found = PICTURE_FORMATS[out.suffix]
    expect("bits", after.bits, min(before.bits, found.bits))
    if found.name in ("PNG", "TIFF", "JPEG", "BMP"):
        expect("grey", after.is_grey, before.is_grey)
    if found.name in ("PNG", "TIFF"):
        expect("transparency", after.alpha is not None, before.alpha is not None)
    difference = float(np.abs(shown(before) - halved(shown(after))).mean())
    if difference > CLOSE:
        raise WrongError(f"shows something else: luma differs by {difference:.1f} on average")
    channels = ("grey" if after.is_grey else "colour") + (", alpha" if after.alpha is not None else "")
    return f"{after.width}x{after.height} {after.bits} bits {channels} {'; '.join(report['notes'])}"


def shown(picture: Picture) -> np.ndarray:
    """What a picture shows on white: luma in [0, 255]."""
    colour = to_depth(picture.colour, np.uint8)
    if picture.alpha is not None:
        colour = over_white(colour, to_depth(picture.alpha, np.uint8))
    return (colour if picture.is_grey else luma_of(colour)).astype(np.float32)


def halved(plane: np.ndarray) -> np.ndarray:
    """The mean of each 2x2 pixels."""
    return plane.reshape(plane.shape[0] // 2, 2, plane.shape[1] // 2, 2).mean(axis=(1, 3))


def check_clip(source: Path, out: Path, report: dict[str, Any]) -> str:
    """Size and frames of an enlarged clip."""
    before, after = decoded(source), decoded(out)
    if after["error"]:
        raise WrongError(f"the result does not decode: {after['error']}")
    expect("upright size", after["size"], tuple(2 * side for side in before["size"]))
    expect("reported frames", report["frames"], after["frames"])
    if not before["error"]:
        expect("frames", after["frames"], before["frames"])
    width, height = after["size"]
    return f"{width}x{height} {after['frames']} frames, sound {report['audio']} {'; '.join(report.get('notes', ()))}"


def decoded(path: Path) -> dict[str, Any]:
    """Upright size, number of frames that decode, and the error that ended it."""
    import av

    frames, size, error = 0, (0, 0), ""
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                sides = (frame.width, frame.height)
                size = sides[::-1] if frame.rotation % 180 else sides
                frames += 1
    except av.FFmpegError as problem:
        error = str(problem)
    return {"size": size, "frames": frames, "error": error}


def expect(what: str, found: object, expected: object) -> None:
    """Raise WrongError unless both are equal."""
    if found != expected:
        raise WrongError(f"{what} is {found}, not {expected}")


if __name__ == "__main__":
    sys.exit(main())
