"""A network to begin from: a weights file or a checkpoint."""

from __future__ import annotations

from pathlib import Path

from espcn_demo.errors import InputError
from espcn_demo.model import ESPCN
from espcn_demo.weights import load_network, read


def start_network(path: Path) -> ESPCN:
    """The network of a `.safetensors` file with its card, or the averaged one of a `.pt` checkpoint; float32, eval."""
    if path.suffix == ".safetensors":
        return load_network(read(path))
    from train.trainer import read_checkpoint

    network = ESPCN()
    try:
        network.load_state_dict(read_checkpoint(path)["ema"])
    except RuntimeError as error:
        raise InputError(f"{path} holds another network: its tensors do not fit.") from error
    return network.eval().requires_grad_(False)
