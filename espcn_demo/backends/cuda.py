"""The CUDA backend."""

from __future__ import annotations

from typing import NoReturn

from espcn_demo.errors import EngineError
from espcn_demo.weights import Weights


def open_engine(weights: Weights, precision: str | None = None) -> NoReturn:
    """Refuse: without an NVIDIA GPU nothing runs."""
    raise EngineError("cuda: no NVIDIA GPU")
