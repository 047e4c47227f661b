"""Make the int8 form of trained weights by quantisation-aware training.

python -m train quantise --weights espcn_x2 --minutes 3
python -m train quantise --weights weights/mine.safetensors --data my_pictures --steps 500 --benchmark none

The int8 network learns to give what the float network gives: kernels on 255 levels for each output channel,
activations on 256 levels between 0 and a learnt ceiling (Jacob et al. 2018, arXiv:1712.05877; learnt ceilings as in
Choi et al. 2018, arXiv:1805.06085). Rounding passes gradients straight through. Before it, channels are equalised
(Nagel et al. 2019, arXiv:1906.04721), so that one ceiling suits all channels of a layer.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save
from torch import Tensor, nn
from torch.nn import functional as F

from espcn_demo.backends import open_backend
from espcn_demo.backends.quantised import twin_path
from espcn_demo.degrade import to_codes
from espcn_demo.metrics import psnr
from espcn_demo.model import ESPCN, SCALE
from espcn_demo.weights import Weights, load_network, resolve
from train.benchmark import benchmarks, samples
from train.data import DAMAGED, PICTURES, Pair, PatchSampler, list_files, load_pair

log = logging.getLogger("train.quantise")

LEVELS = 255.0  # steps of an activation, and codes of the input
REACH = 127.0  # largest int8 kernel value; -128 is not used, so that the grid is symmetric
PATCH = 48  # low-resolution pixels


class Quantised(nn.Module):
    """The network with kernels, input and activations on their int8 grids: (N, 1, H, W) luma -> (N, 1, 2H, 2W)."""

    def __init__(self, network: ESPCN, ceilings: list[Tensor]) -> None:
        super().__init__()
        self.kernels = nn.ParameterList([layer.weight.detach().clone() for layer in _layers(network)])
        self.biases = nn.ParameterList([_bias(layer).detach().clone() for layer in _layers(network)])
        self.ceilings = nn.ParameterList([ceiling.clone() for ceiling in ceilings])

    def forward(self, luma: Tensor) -> Tensor:
        """Enlarge `luma`, whose values are multiples of 1/255."""
        features = luma
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            step = self.step(index)[:, None, None, None]
            grid = _rounded(kernel / step).clamp(-REACH, REACH) * step
            features = F.conv2d(features, grid, bias, padding=kernel.shape[-1] // 2)
            if index < len(self.ceilings):
                ceiling = self.ceilings[index]
                features = _rounded((features / ceiling).clamp(0.0, 1.0) * LEVELS) * (ceiling / LEVELS)
        enlarged = F.interpolate(luma, scale_factor=float(SCALE), mode="nearest")
        total: Tensor = F.pixel_shuffle(features, SCALE) + enlarged
        return total

    def step(self, index: int) -> Tensor:
        """The grid's step for each output channel of layer `index`, (out,)."""
        largest: Tensor = self.kernels[index].detach().abs().amax((1, 2, 3))
        return largest.clamp(min=1e-8) / REACH

    def arrays(self) -> dict[str, np.ndarray[Any, Any]]:
        """What `espcn_demo.backends.quantised` reads."""
        found: dict[str, np.ndarray[Any, Any]] = {
            "ceilings": np.array([float(c.detach()) for c in self.ceilings], np.float32)
        }
        for index, (kernel, bias) in enumerate(zip(self.kernels, self.biases, strict=True)):
            step = self.step(index)
            codes = (kernel.detach() / step[:, None, None, None]).round().clamp(-REACH, REACH)
            found[f"{index}.kernel"] = codes.to(torch.int8).numpy()
            found[f"{index}.scale"], found[f"{index}.bias"] = step.numpy(), bias.detach().numpy()
        return found


def equalise(network: ESPCN, luma: Tensor) -> list[Tensor]:
    """Rescale channels between layers, which changes nothing in float32; returns the activations' ceilings.

    A channel is divided by the root of its largest activation relative to the layer's, and the next kernel multiplied:
    half of the imbalance stays in the activations, half goes to the kernels.
    """
    ceilings, features = [], luma
    layers = _layers(network)
    with torch.no_grad():
        for this, following in zip(layers[:-1], layers[1:], strict=True):
            largest = F.relu(this(features)).amax((0, 2, 3))
            factor = (largest / largest.max()).clamp(min=1e-2).sqrt()
            this.weight /= factor[:, None, None, None]
            _bias(this).div_(factor)
            following.weight *= factor[None, :, None, None]
            features = F.relu(this(features))
            ceilings.append(torch.quantile(features.flatten()[:: max(1, features.numel() // 2**20)], 0.9999))
    return ceilings


def train(student: Quantised, teacher: ESPCN, sample: PatchSampler, *, minutes: float, steps: int | None) -> int:
    """Bring `student` to `teacher`'s results, for `steps` or `minutes`; returns the steps done."""
    slow = [*student.kernels, *student.biases]
    optimizer = torch.optim.Adam([{"params": slow, "top": 2e-4}, {"params": list(student.ceilings), "top": 1e-3}])
    start, step = time.monotonic(), 0
    while (progress := step / steps if steps else (time.monotonic() - start) / 60 / minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = group["top"] * 0.5 * (1 + np.cos(np.pi * progress))
        low = _codes(sample(step)[0])
        with torch.no_grad():
            wanted = teacher(low)
        loss = F.mse_loss(student(low), wanted) * LEVELS**2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            log.info(
                "step %d: differs from float32 by %.3f codes (root mean square)", step, float(loss.detach()) ** 0.5
            )
    return step


def write(student: Quantised, weights: Weights, about: dict[str, Any]) -> Path:
    """Write the int8 form beside `weights`, and its card."""
    path = twin_path(weights.path)
    data = save(student.arrays())
    card = {"sha256": hashlib.sha256(data).hexdigest(), "quantised_from": weights.sha256, **about}
    for target, content in ((path, data), (path.with_suffix(".json"), (json.dumps(card, indent=2) + "\n").encode())):
        beside = target.with_name(f".{target.name}.{os.getpid()}")
        beside.write_bytes(content)
        os.replace(beside, target)
    return path


def compare(weights: Weights, folder: Path) -> dict[str, Any]:
    """Y-PSNR in dB on each benchmark, on 8-bit codes, of the float32 and int8 engines."""
    engines = {
        "float32": open_backend("openvino", weights, "float32"),
        "int8": open_backend("openvino", weights, "int8"),
    }
    found: dict[str, Any] = {}
    for benchmark in benchmarks(folder):
        scores: dict[str, list[float]] = {name: [] for name in engines}
        for picture in samples(benchmark):
            low, high = to_codes(picture.low)[None], to_codes(picture.high)
            for name, engine in engines.items():
                scores[name].append(psnr(high, engine.upscale(low)[0], peak=255, border=SCALE))
        means = {name: round(float(np.mean(values)), 3) for name, values in scores.items()}
        found[benchmark.name] = {**means, "loss": round(means["float32"] - means["int8"], 3)}
        log.info("%s: %s", benchmark.name, found[benchmark.name])
    return found


def main(argv: list[str] | None = None) -> int:
    """Run the command line of this module's docstring."""
    shared = Path(os.environ.get("ESPCN_DATA", "../shared/data"))
    parser = argparse.ArgumentParser(prog="python -m train quantise", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--weights", default="espcn_x2", help="bundled name or file to quantise")
    parser.add_argument("--data", nargs="+", type=Path, default=[shared / "train"], help="folders of pictures")
    parser.add_argument("--pictures", type=int, default=150, help="how many to use, evenly chosen (default 150)")
    parser.add_argument("--minutes", type=float, default=3.0, help="training time (default 3)")
    parser.add_argument("--steps", type=int, help="training length in steps, instead of minutes")
    parser.add_argument("--batch", type=int, default=8, help="patches a step (default 8)")
    parser.add_argument("--benchmark", default=str(shared / "benchmark"), help="folder to score on, or none")
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    weights = resolve(args.weights)
    sample = PatchSampler(_pairs(args.data, args.pictures), batch=args.batch, patch=PATCH, seed=0)
    teacher, equalised = load_network(weights), load_network(weights)
    student = Quantised(
        equalised, equalise(equalised, _codes(np.concatenate([sample(10**6 + i)[0] for i in range(8)])))
    )
    steps = train(student, teacher, sample, minutes=args.minutes, steps=args.steps)
    about: dict[str, Any] = {"command": f"python -m train quantise --weights {args.weights}", "steps": steps}
    path = write(student, weights, about)
    if args.benchmark != "none":
        write(student, weights, {**about, "psnr_y": compare(weights, Path(args.benchmark))})
    log.info("%s after %d steps", path, steps)
    return 0


def _pairs(data: list[Path], count: int) -> list[Pair]:
    paths = list_files(data, PICTURES)
    pairs = []
    for path in paths[:: max(1, len(paths) // count)]:
        try:
            pair = load_pair(path)
        except DAMAGED as error:
            log.warning("skipped %s: %s", path, error)
            continue
        if min(pair.low.shape) >= PATCH:
            pairs.append(pair)
    return pairs


def _codes(low: np.ndarray[Any, np.dtype[np.float32]]) -> Tensor:
    """Luma as an 8-bit source would have it."""
    return torch.from_numpy(np.rint(low * LEVELS) / np.float32(LEVELS))


def _rounded(values: Tensor) -> Tensor:
    """Rounded half to even; the gradient passes as if nothing had happened."""
    return values + (values.round() - values).detach()


def _layers(network: ESPCN) -> list[nn.Conv2d]:
    return [layer for layer in network.convolutions if isinstance(layer, nn.Conv2d)]


def _bias(layer: nn.Conv2d) -> Tensor:
    assert layer.bias is not None
    return layer.bias


if __name__ == "__main__":
    sys.exit(main())
