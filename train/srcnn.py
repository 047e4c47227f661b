"""SRCNN (Dong et al. 2014, arXiv:1501.00092), the predecessor: 9-1-5 on input that was enlarged by bicubic.

python -m train.srcnn --data ../shared/data/train --steps 3000 --out train/srcnn_x2.safetensors
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from espcn_demo.errors import InputError


class SRCNN(nn.Module):
    """(N, 1, H, W) luma in [0, 1] -> (N, 1, 2H, 2W); 64 and 32 channels, 8,129 parameters, all at high resolution."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Conv2d(a, b, k, padding=k // 2) for a, b, k in ((1, 64, 9), (64, 32, 1), (32, 1, 5))
        )

    def forward(self, luma: Tensor) -> Tensor:
        """Enlarge by bicubic, then restore."""
        features = F.interpolate(luma, scale_factor=2, mode="bicubic", align_corners=False)
        for layer in self.layers[:-1]:
            features = F.relu(layer(features))
        restored: Tensor = self.layers[-1](features)
        return restored


def load_srcnn(path: Path) -> SRCNN:
    """Read SRCNN weights; a wrong file is an InputError."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    network = SRCNN()
    try:
        network.load_state_dict(load_file(path))
    except (OSError, SafetensorError, RuntimeError) as error:
        raise InputError(f"{path} does not hold SRCNN weights.") from error
    return network.eval().requires_grad_(False)


def main(argv: list[str] | None = None) -> int:
    """Train SRCNN on pictures."""
    from safetensors.torch import save_file

    from train.material import picture_units, split
    from train.pool import Pool
    from train.progress import versions
    from train.trainer import Recipe, train

    parser = argparse.ArgumentParser(prog="python -m train.srcnn", description="Train SRCNN 9-1-5.")
    parser.add_argument("--data", nargs="+", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--out", type=Path, default=Path("train/srcnn_x2.safetensors"))
    args = parser.parse_args(argv)
    if args.threads:
        torch.set_num_threads(args.threads)
    recipe = Recipe(precision=args.precision, patch=24)
    units, _ = picture_units(split(args.data)[0], "bicubic")
    pool = Pool(units, batch=recipe.batch, patch=recipe.patch, seed=0, memory=1 << 30)
    torch.manual_seed(0)
    network = train(recipe, pool, steps=args.steps, network=SRCNN())
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, args.out)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    card = {"sha256": digest, "steps": args.steps, "precision": args.precision, "versions": versions()}
    args.out.with_suffix(".json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    from train.__main__ import guarded

    sys.exit(guarded(main))
