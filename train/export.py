"""Turn a checkpoint into a weights file with its card.

python -m train export runs/mine/checkpoint.pt --out weights/mine.safetensors --benchmark ../shared/data/benchmark
"""

from __future__ import annotations

import argparse
import json
import logging
from dataclasses import asdict
from pathlib import Path

from espcn_demo.errors import InputError
from train.data import fingerprint
from train.finish import store
from train.material import split
from train.progress import versions
from train.start import start_network
from train.trainer import Recipe, read_checkpoint

log = logging.getLogger("train.export")


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m train export", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("checkpoint", type=Path, help="a .pt checkpoint, or weights whose scores are measured again")
    parser.add_argument("--out", type=Path, required=True, help="the weights to write, .safetensors")
    parser.add_argument("--benchmark", type=Path, help="benchmark folder for the card's scores")
    parser.add_argument("--first", type=Path, help="first-pass weights, when these are for the second pass of 4x")
    parser.add_argument("--data", nargs="+", type=Path, help="the training data, to name and hash it")
    parser.add_argument("--command", help="the command that trained it")
    args = parser.parse_args(argv)
    if args.out.suffix != ".safetensors":
        raise InputError(f"--out {args.out} must end in .safetensors.")
    network = start_network(args.checkpoint)
    card = _old_card(args.checkpoint)
    if args.command:
        card["command"] = args.command
    if args.data:
        pictures, _, videos = split(args.data)
        card |= {"data": [path.name for path in args.data], "data_sha256": fingerprint(pictures + videos)}
        card |= {"pictures": len(pictures), "videos": len(videos)}
    card.setdefault("versions", versions())
    recipe = card.get("recipe", {})
    degradation = recipe.get("degradation", "bicubic") if isinstance(recipe, dict) else "bicubic"
    stored = store(network, args.out, card, benchmark=args.benchmark, first=args.first, degradation=degradation)
    log.info("wrote %s %s", args.out, json.dumps(stored.get("scores", {})))
    return 0


def _old_card(path: Path) -> dict[str, object]:
    if path.suffix == ".safetensors":
        card = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))
        return {key: value for key, value in card.items() if key not in ("sha256", "dimensions")}
    stored = read_checkpoint(path)
    about = dict(stored.get("about", {})) or {"recipe": asdict(_standard())}
    if stored.get("history"):
        about["validation_psnr"] = stored["history"][-1]["psnr"]
    return {**about, "steps": stored["step"]}


def _standard() -> Recipe:
    return Recipe(precision="bf16")
