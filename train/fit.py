"""Train the network on pictures, videos or both.

    python -m train fit --data ../shared/data/train --minutes 70 --out weights/espcn_x2.safetensors
    python -m train fit --data my_pictures clip.mp4 --steps 20000 --out weights/mine.safetensors --resume
    python -m train fit --data my_pictures --degradation compressed --minutes 30 --out weights/upload.safetensors
    torchrun --nproc-per-node 2 -m train fit --data my_pictures --steps 20000 --out weights/mine.safetensors

Checkpoint, curves and TensorBoard events go to `--run-folder`, by default runs/NAME for NAME.safetensors.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import os
import shlex
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from espcn_demo.errors import InputError
from espcn_demo.model import ESPCN
from train.curves import write_curves
from train.data import Pair, fingerprint
from train.finish import store
from train.material import Unit, chain_units, encoded_units, picture_units, split
from train.pool import Pool, load_units
from train.progress import Bar, versions
from train.start import start_network
from train.trainer import OPTIMIZERS, PRECISIONS, Recipe, Trainer, validate

log = logging.getLogger("train.fit")

DEGRADATIONS = ("bicubic", "decimate", "compressed", "second")
VALIDATION = 12  # pictures: enough to rank runs, and two seconds on one core


def parser() -> argparse.ArgumentParser:
    """The command line; the defaults are the recipe of the bundled weights."""
    made = argparse.ArgumentParser(prog="python -m train fit", description=(__doc__ or "").split("\n")[0])
    add = made.add_argument
    add("--data", nargs="+", type=Path, required=True, help="folders of pictures and videos, or video files")
    add(
        "--validation", type=Path, help="folder of pictures to validate on (default: folders named kodak or validation)"
    )
    add("--degradation", choices=DEGRADATIONS, default="bicubic", help="how low resolution is made")
    add("--first", type=Path, help="weights of the first pass, for --degradation second")
    add("--crf", nargs=2, type=float, default=(13, 36), metavar=("WEAKEST", "STRONGEST"), help="x264-like strengths")
    add(
        "--variants",
        type=int,
        default=4,
        help="encoded sequences made of a 481x321 still, for --degradation compressed",
    )
    add("--cache", type=Path, default=Path("runs/encoded"), help="folder that keeps encoded sequences")
    add("--out", type=Path, required=True, help="the weights to write, .safetensors")
    add("--run-folder", type=Path, help="folder for checkpoint and curves (default: runs/NAME)")
    add("--minutes", type=float, help="length of the run by the clock")
    add("--steps", type=int, help="length of the run in steps: the same result each time")
    add("--init", type=Path, help="weights or checkpoint to start from")
    add("--resume", action="store_true", help="go on from the checkpoint, if there is one")
    add("--distill", type=Path, help="teacher weights; their 8-fold mean is half of the target")
    add("--device", help="cpu, cuda or cuda:N (default: cuda when there is one)")
    add("--threads", type=int, help="CPU threads for the arithmetic")
    add("--precision", choices=tuple(PRECISIONS), default="float32", help="autocast for the first 93 %% of the run")
    add("--batch", type=int, default=8, help="patches a step, over all processes")
    add("--patch", type=int, default=48, help="side of a patch in low-resolution pixels")
    add("--optimizer", choices=tuple(OPTIMIZERS), default="soap", help="soap learns far more from each step")
    add("--rate", type=float, default=3e-3, help="highest learning rate (1e-3 suits adamw)")
    add("--l1-until", type=float, default=0.7, help="share of the run with the L1 loss, squared error after it")
    add("--float32-from", type=float, default=0.93, help="share of the run after which reduced precision ends")
    add("--balance", type=float, default=0.0, help="squared error, as 1e-4, above which a patch counts less")
    add("--seed", type=int, default=0)
    add("--memory", type=int, default=1024, help="MiB for training pairs; more data is loaded shard by shard")
    add("--shard-steps", type=int, default=2000, help="steps on each shard of data larger than --memory")
    add("--save-every", type=float, default=60, help="seconds between checkpoints")
    add("--report-every", type=float, default=120, help="seconds between validations")
    add("--benchmark", type=Path, help="benchmark folder: its scores go into the weights' card")
    return made


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring; 0 when the weights are written."""
    given = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(given)
    _check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several:
        distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        return _fit(args, shlex.join(["python", "-m", "train", "fit", *given]))
    finally:
        if several:
            distributed.destroy_process_group()


def _check(args: argparse.Namespace) -> None:
    if (args.minutes is None) == (args.steps is None) or (args.minutes or args.steps) <= 0:
        raise InputError("give either --minutes or --steps, greater than zero.")
    if args.out.suffix != ".safetensors":
        raise InputError(f"--out {args.out} must end in .safetensors.")
    if args.degradation == "second" and args.first is None:
        raise InputError("--degradation second needs --first, the weights of the first pass.")
    if min(args.batch, args.patch, args.memory, args.shard_steps, args.variants) < 1:
        raise InputError("--batch, --patch, --memory, --shard-steps and --variants must be at least 1.")


def _fit(args: argparse.Namespace, command: str) -> int:
    recipe = Recipe(
        degradation=args.degradation, batch=args.batch, patch=args.patch, precision=args.precision,
        optimizer=args.optimizer, rate=args.rate,
        l1_until=args.l1_until, float32_from=args.float32_from, balance=args.balance, seed=args.seed,
        distill=0.5 if args.distill else 0.0,
    )  # fmt: skip
    units, held, about = _material(args, recipe)
    pool = Pool(
        units, batch=recipe.batch, patch=recipe.patch, seed=recipe.seed, memory=args.memory << 20,
        shard_steps=args.shard_steps,
    )  # fmt: skip
    trainer = Trainer(
        recipe, pool, steps=args.steps, minutes=args.minutes, device=_device(args.device),
        network=start_network(args.init).requires_grad_(True).train() if args.init else None,
        teacher=start_network(args.distill) if args.distill else None,
    )  # fmt: skip
    if args.init:
        about["init"] = {"file": args.init.name, "sha256": hashlib.sha256(args.init.read_bytes()).hexdigest()}
    trainer.state.about = about
    folder = args.run_folder or Path("runs") / args.out.stem
    checkpoint = folder / "checkpoint.pt"
    if args.resume and checkpoint.exists():
        trainer.state.load(checkpoint)
        log.info("resumed at step %d", trainer.state.step)
    _train(trainer, args, held, checkpoint, area=sum(unit.bytes for unit in units) / 2.5 / 4)
    pool.close()
    pool.warn_skipped()
    if trainer.rank == 0:
        _finish(trainer, args, folder, {"command": command, "data": _names(args.data), **about})
    return 0


def _train(trainer: Trainer, args: argparse.Namespace, held: list[Pair], checkpoint: Path, area: float) -> None:
    """The loop with its reports; `area` is the data's size in low-resolution pixels, one epoch."""
    state, first = trainer.state, trainer.rank == 0
    epochs = trainer.recipe.batch * trainer.recipe.patch**2 / max(area, 1)  # a step
    trainer.pool.prepare(state.step)
    saved = reported = started = time.monotonic()
    with Bar(enabled=first) as bar:
        for progress in trainer.run():
            now = time.monotonic()
            if first and now - reported >= args.report_every:
                _record(trainer, held, epochs, bar, progress)
                reported = time.monotonic()
            if first and now - saved >= args.save_every:
                state.save(checkpoint)
                saved = time.monotonic()
            waited = trainer.pool.waited / max(now - started, 1e-9)
            bar.show(progress, state, waited)
        if first:
            _record(trainer, held, epochs, bar, 1.0)
            state.save(checkpoint)
    seconds = time.monotonic() - started
    log.info(
        "%d steps in %.0f s; first load %.1f s, then waited for data %.1f %% of the time",
        state.step, seconds, trainer.pool.first_load, 100 * trainer.pool.waited / max(seconds, 1e-9),
    )  # fmt: skip


def _record(trainer: Trainer, held: list[Pair], epochs: float, bar: Bar, progress: float) -> None:
    state = trainer.state
    psnr = validate(state.ema, held)
    loss = state.loss()
    state.losses.zero_()
    state.history.append({"step": state.step, "epoch": state.step * epochs, "loss": loss, "psnr": psnr})
    bar.line(
        f"{progress:.3f} step {state.step} epoch {state.step * epochs:.2f} loss {loss:.5f} validation {psnr:.3f} dB"
    )


def _material(args: argparse.Namespace, recipe: Recipe) -> tuple[list[Unit], list[Pair], dict[str, Any]]:
    """Units to train on, pairs to validate on, and what identifies both."""
    from train.sections import section_units

    pictures, held_paths, videos = split(args.data)
    if args.validation:
        held_paths = [path for group in split([args.validation])[:2] for path in group]
    units, damaged = _units(pictures, args)
    if videos and args.degradation in ("compressed", "second"):
        raise InputError(f"--degradation {args.degradation} is made from pictures: give --data pictures only.")
    sections, damaged_videos = section_units(videos, args.degradation)
    units += sections
    held_units = _units(held_paths[:VALIDATION], args)[0]
    if not held_units and len(units) >= 25:
        held_units, units = units[::25][:VALIDATION], [u for n, u in enumerate(units) if n % 25 or n >= 25 * VALIDATION]
    for sentence in damaged + damaged_videos:
        log.warning("skipped %s", sentence)
    if damaged or damaged_videos:
        log.warning("%d damaged files skipped", len(damaged) + len(damaged_videos))
    if not units:
        raise InputError("none of the data can be used: every file is damaged.")
    held = load_units(held_units, recipe.patch, {}, recipe.seed)
    held = held[:: max(1, len(held) // (2 * VALIDATION))]
    if not held:
        log.warning("nothing to validate on: give --validation FOLDER or more pictures")
    about = {
        "recipe": asdict(recipe), "data_sha256": fingerprint(pictures + videos), "pictures": len(pictures),
        "videos": len(videos), "units": len(units), "steps": args.steps, "minutes": args.minutes,
    }  # fmt: skip
    return units, held, about


def _units(paths: list[Path], args: argparse.Namespace) -> tuple[list[Unit], list[str]]:
    if args.degradation == "compressed":
        weakest, strongest = args.crf
        return encoded_units(paths, variants=args.variants, crf=(weakest, strongest), cache=args.cache)
    if args.degradation == "second":
        return chain_units(paths, args.first)
    return picture_units(paths, args.degradation)


def _finish(trainer: Trainer, args: argparse.Namespace, folder: Path, about: dict[str, Any]) -> None:
    state, average = trainer.state, trainer.state.ema
    assert isinstance(average, ESPCN)
    card = {**about, "steps": state.step, "seconds": round(state.seconds), "versions": versions()}
    if state.history:
        card["validation_psnr"] = state.history[-1]["psnr"]
    scored = {"benchmark": args.benchmark, "first": args.first, "degradation": args.degradation}
    try:
        store(average, args.out, card, **scored)
        write_curves(state.history, folder)
    except OSError as error:
        raise InputError(f"{args.out} cannot be written ({error.strerror}): free disk space.") from error
    log.info("wrote %s", args.out)


def _names(data: list[Path]) -> list[str]:
    return [path.resolve().name for path in data]


def _device(name: str | None) -> torch.device:
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name.startswith("cuda") and not torch.cuda.is_available():
        raise InputError(f"--device {name}: no CUDA device here; use --device cpu.")
    if name == "cuda" and "LOCAL_RANK" in os.environ:
        name = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(name)
    return torch.device(name)


if __name__ == "__main__":
    from train.__main__ import guarded

    sys.exit(guarded(main))
