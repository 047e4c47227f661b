"""The training loop: one process or several, any device, resumable to the same result."""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, distributed, nn
from torch.nn import functional as F

from espcn_demo.degrade import to_codes
from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr
from espcn_demo.model import ESPCN, SCALE
from train.data import Pair, as_plane
from train.pool import Batches
from train.soap import SOAP

PRECISIONS = {"float32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


OPTIMIZERS: dict[str, Callable[[Iterator[nn.Parameter], Recipe], torch.optim.Optimizer]] = {
    "soap": lambda parameters, recipe: SOAP(parameters, recipe.rate, decay=recipe.decay),
    "adamw": lambda parameters, recipe: torch.optim.AdamW(parameters, recipe.rate, weight_decay=recipe.decay),
}


@dataclass(frozen=True)
class Recipe:
    """What a run does; everything that changes its result."""

    degradation: str = "bicubic"
    batch: int = 8  # over all processes together
    patch: int = 48  # low-resolution pixels
    optimizer: str = "soap"
    rate: float = 3e-3
    last_rate: float = 1e-6
    decay: float = 0.02  # keeps the weights small, which bfloat16 and int8 need
    l1_until: float = 0.7  # share of the run with the L1 loss; mean squared error after it
    balance: float = 0.0  # squared error at which a patch's weight is halved; 0 weighs all alike
    ema: float = 0.999
    precision: str = "float32"
    float32_from: float = 0.93  # share of the run after which reduced precision ends
    distill: float = 0.0  # share of the target that comes from a teacher
    seed: int = 0


@dataclass
class State:
    """Everything a run needs to go on: saved in a checkpoint."""

    network: nn.Module
    ema: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    step: int = 0
    seconds: float = 0.0  # spent so far
    losses: Tensor = field(default_factory=lambda: torch.zeros(2, dtype=torch.float64))  # their sum and number, see add
    history: list[dict[str, float]] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)  # recipe and data: a resumed run must have the same

    def add(self, loss: Tensor) -> None:
        """Count a step's loss where it lies: a device need not wait, and no tensor a step stays and pins the heap."""
        self.losses[0] += loss
        self.losses[1] += 1

    def loss(self) -> float:
        """Mean of the losses since the last report; NaN when there is none."""
        total, count = self.losses.tolist()
        return total / count if count else float("nan")

    def save(self, path: Path) -> None:
        """Write the checkpoint under a temporary name first; a full disk is an InputError and leaves the old one."""
        stored = {
            "ema": self.ema.state_dict(), "network": self.network.state_dict(), "step": self.step,
            "optimizer": self.optimizer.state_dict(), "scaler": self.scaler.state_dict(),
            "seconds": self.seconds, "losses": self.losses, "history": self.history,
            "about": self.about,
        }  # fmt: skip
        temporary = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            torch.save(stored, temporary)
            temporary.replace(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            temporary.unlink(missing_ok=True)
            raise InputError(f"{path} cannot be written ({error}): free disk space or choose another --out.") from error

    def load(self, path: Path) -> None:
        """Take over a checkpoint; one of another kind is an InputError."""
        stored = read_checkpoint(path)
        try:
            self.network.load_state_dict(stored["network"])
            self.ema.load_state_dict(stored["ema"])
            self.optimizer.load_state_dict(stored["optimizer"])
            self.scaler.load_state_dict(stored["scaler"])
            self.step, self.seconds = stored["step"], stored["seconds"]
            self.losses.copy_(stored["losses"])
            self.history = stored["history"]
            differing = [key for key, value in self.about.items() if stored["about"].get(key) != value]
        except (KeyError, RuntimeError, ValueError, TypeError) as error:
            raise InputError(f"{path} is not a checkpoint of this network that can be resumed: start anew.") from error
        if differing:
            raise InputError(f"{path} is of a run with other {' and '.join(differing)}: resume with the same command.")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """The contents of a checkpoint, tensors and plain values only; anything else is an InputError."""
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"there is no checkpoint {path}: leave --resume out to start.") from error
    except Exception as error:  # torch raises whatever the bytes of a wrong file lead it to
        raise InputError(f"{path} is not a checkpoint: it cannot be read as one.") from error
    if not isinstance(stored, dict) or "ema" not in stored:
        raise InputError(f"{path} is not a checkpoint of this trainer.")
    return stored


def rate_at(recipe: Recipe, progress: float) -> float:
    """Learning rate at `progress` in [0, 1]: 1 % warm-up, then a cosine from `rate` to `last_rate`."""
    warm = min(1.0, progress / 0.01 + 0.01)
    cosine = 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return warm * (recipe.last_rate + (recipe.rate - recipe.last_rate) * cosine)


def loss_of(difference: Tensor, recipe: Recipe, progress: float) -> Tensor:
    """The loss of errors (N, 1, H, W): first L1, then squared error, in about the same size.

    With `balance`, the logarithm of each patch's squared error: PSNR, which is averaged over pictures, is one too, and
    a grainy picture would otherwise count twenty times as much as a smooth one.
    """
    if progress < recipe.l1_until:
        return difference.abs().mean()
    if not recipe.balance:
        return 16 * difference.square().mean()
    errors = difference.square().mean((1, 2, 3))
    return 16 * recipe.balance * torch.log1p(errors / recipe.balance).mean()


def validate(network: nn.Module, pairs: Sequence[Pair]) -> float:
    """Mean Y-PSNR in dB of `network` on whole pictures, 8-bit codes, two-pixel border left out."""
    scores = []
    device = next(network.parameters()).device
    with torch.no_grad():
        for pair in pairs:
            low = torch.from_numpy(as_plane(pair.low, pair.white))[None, None].to(device)
            result = network(low)[0, 0].cpu().numpy()
            scores.append(psnr(to_codes(as_plane(pair.high, pair.white)), to_codes(result), peak=255, border=2))
    return float(np.mean(scores)) if scores else float("nan")


def eightfold(network: nn.Module, low: Tensor) -> Tensor:
    """The mean of `network` over the eight flips and transposes: a better teacher than the network itself."""
    total: Tensor | None = None
    for flips in ((), (2,), (3,), (2, 3)):
        for swap in (False, True):
            view = low.flip(flips) if flips else low
            result = network(view.transpose(2, 3).contiguous() if swap else view)
            result = result.transpose(2, 3) if swap else result
            result = result.flip(flips) if flips else result
            total = result if total is None else total + result
    assert total is not None
    return total / 8


class Reduced(nn.Module):
    """The network with its middle convolutions, 95 % of the arithmetic, in reduced precision where asked.

    The first and the last one stay in float32: bfloat16 rounds luma to a whole 8-bit code value, and a network trained
    on that ends 0.06 dB lower.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, luma: Tensor, kind: torch.dtype | None) -> Tensor:
        """As the network's own; `kind` is the middle's dtype, None for float32 throughout."""
        if type(self.network) is not ESPCN:  # another network of the experiments: all of it
            with torch.autocast(luma.device.type, kind, enabled=kind is not None):
                whole: Tensor = self.network(luma)
            return whole.float()
        first, *middle, last = self.network.convolutions
        features = F.relu(first(luma))
        with torch.autocast(luma.device.type, kind, enabled=kind is not None):
            for convolution in middle:
                features = F.relu(convolution(features))
        enlarged: Tensor = F.pixel_shuffle(last(features.float()), SCALE)
        return enlarged + F.interpolate(luma, scale_factor=SCALE, mode="nearest")


class Trainer:
    """Runs `recipe` on the batches of a pool, to `steps` or for `minutes`."""

    def __init__(
        self, recipe: Recipe, pool: Batches, *, steps: int | None = None, minutes: float | None = None,
        device: torch.device | None = None, network: nn.Module | None = None, teacher: nn.Module | None = None,
    ) -> None:  # fmt: skip
        self.recipe, self.pool, self.steps, self.minutes = recipe, pool, steps, minutes
        self.device = device or torch.device("cpu")
        self.several = distributed.is_available() and distributed.is_initialized()
        self.rank, self.world = (distributed.get_rank(), distributed.get_world_size()) if self.several else (0, 1)
        if recipe.batch % self.world:
            raise InputError(f"--batch {recipe.batch} does not divide by {self.world} processes: choose a multiple.")
        torch.manual_seed(recipe.seed)
        network = network or ESPCN()
        network = network.to(self.device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # absent from the stubs
        optimizer = OPTIMIZERS[recipe.optimizer](network.parameters(), recipe)
        scaler = torch.amp.GradScaler(self.device.type, enabled=recipe.precision == "fp16")
        self.state = State(network, copy.deepcopy(network), optimizer, scaler)
        self.state.losses = self.state.losses.to(self.device)
        self.teacher = teacher.to(self.device) if teacher is not None else None
        reduced = Reduced(network)
        self.parallel: nn.Module = nn.parallel.DistributedDataParallel(reduced) if self.several else reduced

    def progress(self) -> float:
        """How much of the run is done, 0 to 1; several processes follow the first one's clock."""
        if self.steps:
            return self.state.step / self.steps
        done = self.state.seconds / 60 / (self.minutes or 1)
        if self.several:
            shared = torch.tensor([done], dtype=torch.float64, device=self.device)
            distributed.broadcast(shared, 0)
            done = float(shared)
        return done

    def run(self) -> Iterator[float]:
        """Train to the end; yields the progress after each step. State may be saved or validated in between."""
        self.pool.prepare(self.state.step)
        mark = time.monotonic()
        while (progress := self.progress()) < 1:
            self.state.add(self._step(progress))
            yield progress
            now = time.monotonic()
            self.state.seconds, mark = self.state.seconds + now - mark, now

    def _step(self, progress: float) -> Tensor:
        recipe, state = self.recipe, self.state
        for group in state.optimizer.param_groups:
            group["lr"] = rate_at(recipe, progress)
        arrays = self.pool(state.step, rank=self.rank, world=self.world)
        low, high = (torch.from_numpy(array).to(self.device, non_blocking=True) for array in arrays)
        if self.teacher is not None:
            with torch.no_grad():
                high = torch.lerp(high, eightfold(self.teacher, low), recipe.distill)
        reduced = recipe.precision != "float32" and progress < recipe.float32_from
        result = self.parallel(low, PRECISIONS[recipe.precision] if reduced else None)
        loss = loss_of(result - high, recipe, progress)
        state.optimizer.zero_grad()
        state.scaler.scale(loss).backward()
        state.scaler.step(state.optimizer)
        state.scaler.update()
        state.step += 1
        decay = min(recipe.ema, (1 + state.step) / (10 + state.step))
        with torch.no_grad():
            for kept, current in zip(state.ema.parameters(), state.network.parameters(), strict=True):
                kept.lerp_(current, 1 - decay)
            if self.several:
                loss = loss.detach()
                distributed.all_reduce(loss)
                loss = loss / self.world
        mean: Tensor = loss.detach()
        return mean


def train(
    recipe: Recipe,
    pool: Batches,
    *,
    steps: int,
    network: nn.Module | None = None,
    on_step: Callable[[int], None] | None = None,
) -> nn.Module:
    """Train for `steps` in this process and give the average, of the class of `network`: for experiments."""
    trainer = Trainer(recipe, pool, steps=steps, network=network)
    for _ in trainer.run():
        if on_step:
            on_step(trainer.state.step)
    return trainer.state.ema.eval().requires_grad_(False)
