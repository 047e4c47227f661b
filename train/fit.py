"""Train the network on pictures.

python -m train fit --data ../shared/data/train --minutes 70 --out weights/espcn_x2.safetensors
python -m train fit --data my_pictures --steps 20000 --out weights/mine.safetensors --resume
"""

from __future__ import annotations

import argparse
import copy
import logging
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from espcn_demo.degrade import to_codes
from espcn_demo.metrics import psnr
from espcn_demo.model import ESPCN
from train.data import WHITE, Pair, PatchSampler, fingerprint, list_pictures, load_pairs

log = logging.getLogger("train.fit")


@dataclass(frozen=True)
class Recipe:
    """What a run does; everything that changes its result."""

    degradation: str = "bicubic"
    batch: int = 8
    patch: int = 48  # low-resolution pixels
    rate: float = 1e-3
    last_rate: float = 1e-6
    decay: float = 0.02  # keeps the weights small, which bfloat16 and int8 need
    l1_until: float = 0.7  # share of the run with the L1 loss; mean squared error after it
    ema: float = 0.999
    precision: str = "float32"
    float32_from: float = 0.93  # share of the run after which reduced precision ends
    seed: int = 0


def rate_at(recipe: Recipe, progress: float) -> float:
    """Learning rate at `progress` in [0, 1]: 1 % warm-up, then a cosine from `rate` to `last_rate`."""
    warm = min(1.0, progress / 0.01 + 0.01)
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return warm * (recipe.last_rate + (recipe.rate - recipe.last_rate) * cosine)


def validate(network: ESPCN, pairs: list[Pair]) -> float:
    """Mean Y-PSNR in dB of `network` on whole pictures, 8-bit codes, two-pixel border left out."""
    scores = []
    with torch.no_grad():
        for pair in pairs:
            low = torch.from_numpy(pair.low.astype(np.float32) / WHITE)[None, None]
            result = network(low)[0, 0].numpy()
            scores.append(psnr(to_codes(pair.high / WHITE), to_codes(result), peak=255, border=2))
    return float(np.mean(scores))


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    parser = argparse.ArgumentParser(prog="python -m train fit", description=__doc__.split("\n")[0])
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--validation", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--init", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=48)
    parser.add_argument("--rate", type=float, default=1e-3)
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    recipe = Recipe(batch=args.batch, patch=args.patch, rate=args.rate, precision=args.precision)
    torch.manual_seed(recipe.seed)
    paths = list_pictures(args.data)
    held_out = [p for p in paths if "kodak" in p.parts]
    paths = [p for p in paths if "kodak" not in p.parts]
    held = load_pairs(held_out[:12], smallest=recipe.patch)
    pairs = load_pairs(paths, recipe.degradation, smallest=recipe.patch)
    sample = PatchSampler(pairs, batch=recipe.batch, patch=recipe.patch, seed=recipe.seed)
    network = ESPCN().to(memory_format=torch.channels_last)
    ema = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(network.parameters(), recipe.rate, weight_decay=recipe.decay)
    start, step = time.monotonic(), 0
    report = start
    print(len(pairs), "pictures", asdict(recipe), fingerprint(paths), flush=True)
    losses = []
    while True:
        progress = step / args.steps if args.steps else (time.monotonic() - start) / 60 / args.minutes
        if progress >= 1:
            break
        for group in optimizer.param_groups:
            group["lr"] = rate_at(recipe, progress)
        low, high = (torch.from_numpy(array) for array in sample(step))
        reduced = recipe.precision == "bf16" and progress < recipe.float32_from
        with torch.autocast("cpu", torch.bfloat16, enabled=reduced):
            result = network(low)
        difference = result.float() - high
        loss = difference.abs().mean() if progress < recipe.l1_until else 16 * difference.square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
        step += 1
        decay = min(recipe.ema, (1 + step) / (10 + step))
        with torch.no_grad():
            for kept, current in zip(ema.parameters(), network.parameters(), strict=True):
                kept.lerp_(current, 1 - decay)
        if time.monotonic() - report > 120:
            report = time.monotonic()
            args.out.parent.mkdir(parents=True, exist_ok=True)
            torch.save(
                {"ema": ema.state_dict(), "network": network.state_dict(), "step": step}, args.out.with_suffix(".tmp")
            )
            args.out.with_suffix(".tmp").rename(args.out.with_suffix(".pt"))
            print(f"{progress:.3f} step {step} loss {np.mean(losses):.5f} kodak {validate(ema, held):.3f}", flush=True)
            losses = []
    torch.save({"ema": ema.state_dict(), "step": step}, args.out.with_suffix(".pt"))
    print(f"done step {step} kodak {validate(ema, held):.3f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
