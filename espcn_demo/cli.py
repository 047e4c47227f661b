"""The command `espcn`: arguments in, one report out.

Progress and warnings go to stderr, `--json` prints one object on stdout. Exit code 0 when done, 2 with one sentence
on stderr when the input is bad, 130 when interrupted.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from espcn_demo import __version__, commands
from espcn_demo.errors import InputError

BACKENDS = ("auto", "tensorrt", "cuda", "openvino", "torch")
PRECISIONS = ("float32", "bf16", "float16", "int8")
CODECS = ("h264", "hevc", "av1", "vp9")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `espcn` with `argv` (by default the process's arguments) and return its exit code."""
    args = build_parser().parse_args(argv)
    logging.basicConfig(format="%(message)s", level=logging.INFO if args.verbose else logging.WARNING)
    previous = signal.signal(signal.SIGTERM, _interrupt)
    try:
        return _report(args, args.run(args))
    except InputError as error:
        return _fail(str(error))
    except BrokenPipeError:
        return _fail("the output was closed before the report was written.")
    except OSError as error:
        return _fail(_sentence(error))
    except MemoryError:
        return _fail("there is not enough memory for this: use a smaller input or a machine with more.")
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    finally:
        signal.signal(signal.SIGTERM, previous)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    parser = argparse.ArgumentParser(prog="espcn", description="Pictures and video at twice the size.")
    parser.add_argument("--version", action="version", version=f"espcn {__version__}")
    verbs = parser.add_subparsers(metavar="COMMAND", required=True)

    image = _verb(verbs, "image", commands.image, "enlarge a picture, or every picture of a folder")
    _input_output(image)
    _engine(image)
    image.add_argument("--strip-location", action="store_true", help="leave the place of exposure out of the result")

    video = _verb(verbs, "video", commands.video, "enlarge a clip, or every clip of a folder")
    _input_output(video)
    _engine(video)
    _cut(video)
    _encoder(video)
    video.add_argument("--resume", action="store_true", help="go on where an interrupted run stopped")

    probe = _verb(verbs, "probe", commands.probe, "what a file is, what would be kept, estimated time and size")
    probe.add_argument("input", type=Path, help="a picture or a clip")
    probe.add_argument("--container", default=".mp4", help="suffix of the result's container (default .mp4)")
    probe.add_argument("--no-estimate", dest="estimate", action="store_false", help="do not measure an excerpt")
    _engine(probe)
    _encoder(probe)

    compare = _verb(verbs, "compare", commands.compare, "write a comparison clip with labels and sound")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    compare.add_argument("output", type=Path, help="an .mp4 or a .gif")
    compare.add_argument("--style", choices=("side", "wipe"), default="wipe", help="side by side, or a moving wipe")

    measure = _verb(verbs, "measure", commands.measure, "PSNR, SSIM and VMAF of each frame against a reference")
    measure.add_argument("reference", type=Path)
    measure.add_argument("result", type=Path)
    measure.add_argument("--csv", type=Path, help="write the figures of each frame here")
    measure.add_argument("--plot", type=Path, help="write the curves here, as a PNG")
    measure.add_argument("--no-vmaf", dest="vmaf", action="store_false", help="leave VMAF out")

    bench = _verb(verbs, "bench", commands.bench, "speed of every backend that runs here, against the machine's limit")
    bench.add_argument("--sizes", nargs="+", metavar="WxH", help="frame sizes in pixels (default: four usual ones)")
    bench.add_argument("--seconds", type=_positive, default=1.0, help="time spent on each figure (default 1 s)")
    bench.add_argument("--plot", type=Path, help="write the figures here, as a PNG")
    bench.add_argument("--markdown", action="store_true", help="print the table as Markdown")
    bench.add_argument("--weights", metavar="W", help="weights to run")

    engines = _verb(verbs, "engines", commands.engines, "the cache of compiled TensorRT engines")
    engines.add_argument("action", choices=("list", "build", "clear"))
    engines.add_argument("--size", metavar="WxH", default="1280x720", help="frame size to build for, in pixels")
    engines.add_argument("--weights", metavar="W", help="weights to build for")

    weights = _parser(verbs, "weights", "weights that are bundled, cached or on the Hub")
    actions = weights.add_subparsers(metavar="ACTION", dest="action", required=True)
    _verb(actions, "list", commands.weights, "the bundled and cached ones, and their scores")
    for action, text in (("pull", "fetch weights into the cache"), ("info", "what weights are and why they serve")):
        one = _verb(actions, action, commands.weights, text)
        one.add_argument("address", help="a bundled name, a path or hf://owner/name[@revision]/file")

    space = _verb(verbs, "space", commands.space, "put the page on Hugging Face Spaces")
    space.add_argument("action", choices=("publish",))
    space.add_argument("repository", metavar="OWNER/NAME")
    space.add_argument("--hardware", choices=("zero", "cpu", "t4", "l4", "a10g"), default="cpu")
    space.add_argument("--dry-run", type=Path, metavar="DIR", help="write the files here and upload nothing")

    serve = _verb(verbs, "serve", commands.serve, "the page, in a browser")
    serve.add_argument("--host", default=None, help="address to listen on (default 127.0.0.1, or GRADIO_SERVER_NAME)")
    serve.add_argument("--port", type=int, default=None, help="port (default 7860, or GRADIO_SERVER_PORT)")
    serve.add_argument("--mcp", action="store_true", help="also serve the functions as MCP tools")
    return parser


def _verb(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, run: commands.Command, text: str
) -> argparse.ArgumentParser:
    parser = _parser(verbs, name, text)
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")
    parser.add_argument("-v", "--verbose", action="store_true", help="say what is chosen and why")
    parser.set_defaults(run=run)
    return parser


def _parser(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str
) -> argparse.ArgumentParser:
    return verbs.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")


def _input_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("input", type=Path, help="a file, or a folder of them")
    parser.add_argument("output", type=Path, help="a file, or a folder when INPUT is one")
    parser.add_argument("--on", metavar="ray[://HOST:PORT]|local", default="local", help="where the work is done")
    parser.add_argument("--workers", type=int, help="with --on ray: how many workers (default: one a node's CPU)")
    parser.add_argument("--worker-cpus", type=float, default=1.0, help="with --on ray: CPU cores of a worker")
    parser.add_argument("--worker-gpus", type=float, default=0.0, help="with --on ray: GPUs of a worker, or a fraction")


def _engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=int, choices=(2, 4), default=2, help="times the width and height")
    parser.add_argument("--weights", metavar="W", help="a bundled name, a .safetensors path or an hf:// address")
    parser.add_argument("--backend", choices=BACKENDS, default="auto", help="what computes (default: first that runs)")
    parser.add_argument("--precision", choices=PRECISIONS, help="number format (default: the backend's own choice)")
    parser.add_argument("--quality", choices=("fast", "best"), default="fast", help="best averages 8 symmetries")


def _cut(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--start", type=_not_negative, metavar="S", help="first moment, in seconds")
    parser.add_argument("--duration", type=_positive, metavar="S", help="length, in seconds")


def _encoder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--codec", choices=CODECS, default=None, help="video codec (default: the container's)")
    parser.add_argument(
        "--crf", type=_not_negative, default=None, metavar="N", help="quality, lower is better (default 18)"
    )
    parser.add_argument("--preset", help="speed of the encoder, by its own names")


def _positive(text: str) -> float:
    value = _not_negative(text)
    if value == 0:
        raise argparse.ArgumentTypeError("must be greater than zero")
    return value


def _not_negative(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from error
    if not 0 <= value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is out of range")
    return value


def _report(args: argparse.Namespace, outcome: commands.Outcome) -> int:
    if args.json:
        print(json.dumps(outcome.data, indent=None, allow_nan=False, default=str))
    elif outcome.text:
        print(outcome.text)
    return outcome.code


def _fail(sentence: str) -> int:
    print(f"espcn: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def _sentence(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{os.strerror(error.errno) if error.errno else error}"


def _interrupt(signum: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
