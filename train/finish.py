"""What a trained network becomes: the weights file that engines load, with its scores."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from espcn_demo.model import ESPCN, conv_layers
from espcn_demo.weights import save


def settle(network: ESPCN) -> ESPCN:
    """A copy whose kernels, but for the first, hold bfloat16 values, so that engines in half precision use the same.

    The scores do not notice that. The first kernel, whose rows sum luma itself, stays exact, since there they do:
    engines in bfloat16 compute it in two parts (`backends.layers.split_first`).
    """
    settled = copy.deepcopy(network).cpu().float().eval().requires_grad_(False)
    for layer in conv_layers(settled)[1:]:
        layer.weight.copy_(layer.weight.to(torch.bfloat16))
    return settled


def store(
    network: ESPCN, out: Path, card: Mapping[str, Any], *,
    benchmark: Path | None = None, first: Path | None = None, degradation: str = "bicubic",
) -> dict[str, Any]:  # fmt: skip
    """Write the settled network with its card, to which the scores on `benchmark` are added; returns the card."""
    settled, full = settle(network), dict(card)
    if benchmark is not None:
        from train.evaluate import card_scores

        full["scores"] = card_scores(settled, benchmark, first=first, degradation=degradation)
    save(settled, out, full)
    return full
