"""Data larger than memory: shards of the data are loaded in the background while the current one is trained on.

Which units are in shard k depends on the seed and k alone, so a resumed run sees the same patches. Data that fits in
memory is one shard, loaded once.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from espcn_demo.errors import InputError
from train.data import DAMAGED, Pair, PatchSampler
from train.material import Unit

log = logging.getLogger(__name__)

Batch = tuple[NDArray[np.float32], NDArray[np.float32]]


class Batches(Protocol):
    """Where a trainer gets its batches from."""

    waited: float  # seconds spent waiting for data
    first_load: float  # seconds until the first batch

    def __call__(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Batch `step`: low (N, 1, P, P), high (N, 1, 2P, 2P)."""

    def prepare(self, step: int) -> None:
        """Load what batch `step` needs."""


class Loaded:
    """Batches of pairs that are in memory already."""

    def __init__(self, pairs: Sequence[Pair], *, batch: int, patch: int, seed: int) -> None:
        self.waited = self.first_load = 0.0
        self._sample = PatchSampler(pairs, batch=batch, patch=patch, seed=seed)

    def __call__(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Batch `step`, see `PatchSampler`."""
        return self._sample(step, rank=rank, world=world)

    def prepare(self, step: int) -> None:
        """Nothing to load."""


class Pool:
    """Batches of patches from `units` in at most about `memory` bytes.

    Units that cannot be read or are smaller than a patch are named in a warning, skipped and counted in `skipped`.
    Data over `memory` goes by shards of a quarter of it, each used for `shard_steps` steps; two are held at a time.
    """

    def __init__(
        self, units: Sequence[Unit], *, batch: int, patch: int, seed: int, memory: int, shard_steps: int = 2000
    ) -> None:
        self.units, self.batch, self.patch, self.seed, self.memory = list(units), batch, patch, seed, memory
        self.whole = sum(unit.bytes for unit in units) <= memory
        self.shard_steps = shard_steps
        self.skipped: dict[str, str] = {}
        self.waited, self.first_load = 0.0, 0.0  # seconds
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="shard")
        self._loading: dict[int, Future[PatchSampler]] = {}
        self._current: tuple[int, PatchSampler] | None = None
        self._epochs, self._shards = 0, list[list[int]]()  # shards of unit numbers, of so many epochs

    def __call__(self, step: int, *, rank: int = 0, world: int = 1) -> Batch:
        """Batch `step`, see `PatchSampler`; waits when its shard is not loaded yet, and counts the time."""
        shard = 0 if self.whole else step // self.shard_steps
        if self._current is None or self._current[0] != shard:
            started, first = time.monotonic(), self._current is None
            self._current = (shard, self._future(shard).result())
            self._loading.pop(shard)
            seconds = time.monotonic() - started
            self.first_load, self.waited = (seconds, 0.0) if first else (self.first_load, self.waited + seconds)
        if not self.whole:
            self._future(shard + 1)
        return self._current[1](step, rank=rank, world=world)

    def prepare(self, step: int) -> None:
        """Load what batch `step` needs, so that the clock of a run starts after the first load."""
        self(step)

    def close(self) -> None:
        """Stop loading."""
        self._worker.shutdown(wait=True, cancel_futures=True)

    def warn_skipped(self) -> None:
        """Say once more how many files were skipped."""
        if self.skipped:
            log.warning("%d damaged or too small files skipped", len(self.skipped))

    def _future(self, shard: int) -> Future[PatchSampler]:
        if shard not in self._loading:
            self._loading[shard] = self._worker.submit(self._load, shard)
        return self._loading[shard]

    def _load(self, shard: int) -> PatchSampler:
        numbers = range(len(self.units)) if self.whole else self._numbers(shard)
        pairs = load_units([self.units[n] for n in numbers], self.patch, self.skipped, self.seed + shard)
        while not pairs and not self.whole and len(self.skipped) < len(self.units):  # a shard of damaged files only
            shard += 1
            pairs = load_units(
                [self.units[n] for n in self._numbers(shard)], self.patch, self.skipped, self.seed + shard
            )
        if not pairs:
            raise InputError("none of the data can be used: it is damaged or smaller than a patch.")
        return PatchSampler(pairs, batch=self.batch, patch=self.patch, seed=self.seed)

    def _numbers(self, shard: int) -> list[int]:
        """The units of shard `shard`: each epoch is a new order of all units, cut where a shard is full."""
        while shard >= len(self._shards):
            self._shards += self._cut(np.random.default_rng((self.seed, self._epochs)).permutation(len(self.units)))
            self._epochs += 1
        return self._shards[shard]

    def _cut(self, order: NDArray[np.int64]) -> list[list[int]]:
        shards: list[list[int]] = [[]]
        filled = 0
        for number in order:
            size = self.units[number].bytes
            if shards[-1] and filled + size > self.memory // 4:
                shards.append([])
                filled = 0
            shards[-1].append(int(number))
            filled += size
        return shards


def load_units(units: Sequence[Unit], patch: int, skipped: dict[str, str], seed: int) -> list[Pair]:
    """The pairs of `units` that hold a patch; what is skipped is named once and added to `skipped`."""
    pairs = []
    for unit in units:
        try:
            loaded = unit.load(seed)
        except MemoryError as error:
            raise InputError("not enough memory for the data: give a smaller --memory.") from error
        except InputError:  # a ValueError too, but not the file's fault
            raise
        except DAMAGED as error:
            _skip(unit, str(error), skipped)
            continue
        usable = [pair for pair in loaded if min(pair.low.shape) >= patch]
        if not usable:
            _skip(unit, f"smaller than a patch of {patch} low-resolution pixels", skipped)
        pairs += usable
    return pairs


def _skip(unit: Unit, reason: str, skipped: dict[str, str]) -> None:
    if str(unit.path) not in skipped:
        log.warning("skipped %s: %s", unit.path, reason)
    skipped[str(unit.path)] = reason
