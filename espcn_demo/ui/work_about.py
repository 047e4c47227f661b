"""What the worker process measures for the About tab: every engine that runs here, for about a second."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import InputError

if TYPE_CHECKING:
    from ..upscaler import Upscaler

HEIGHT, WIDTH = 360, 640
SECONDS = 1.0


@dataclass(frozen=True)
class Row:
    """One engine's speed: frames of WIDTHxHEIGHT and low-resolution megapixels a second."""

    name: str
    frames: float
    megapixels: float


@dataclass(frozen=True)
class Speeds:
    """What was measured, the fastest first, and why other engines do not run here."""

    rows: tuple[Row, ...]
    refusals: tuple[str, ...]
    machine: str
    width: int = WIDTH
    height: int = HEIGHT


def speeds() -> Speeds:
    """Time every backend on two frames at a time."""
    from ..backends import NAMES, choose
    from ..weights import resolve

    weights = resolve(None)
    rows, refusals = [], []
    for name in NAMES:
        if name == "auto":
            continue
        try:
            engine = choose(name, weights=weights)
            rate = _rate(engine)
        except InputError as error:
            refusals.append(str(error) if str(error).startswith(name) else f"{name}: {error}")
        else:
            rows.append(Row(engine.name, rate, rate * WIDTH * HEIGHT / 1e6))
    rows.sort(key=lambda row: -row.frames)
    return Speeds(tuple(rows), tuple(refusals), f"{os.cpu_count()} processor cores")


def _rate(engine: Upscaler) -> float:
    frames = np.random.default_rng(0).integers(0, 256, (2, HEIGHT, WIDTH), np.uint8)
    engine.upscale(frames)  # compiles the graph
    began, count = time.perf_counter(), 0
    while (spent := time.perf_counter() - began) < SECONDS:
        engine.upscale(frames)
        count += len(frames)
    return count / spent
