"""Weights: found by path, bundled name or Hub address, checked by SHA-256 and dimensions, never unpickled.

Each `name.safetensors` has a `name.json` beside it, its card: SHA-256, dimensions, how it was trained, scores.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espcn_demo.dimensions import DIMENSIONS, Dimensions
from espcn_demo.errors import WeightsError

if TYPE_CHECKING:
    from espcn_demo.model import ESPCN

DEFAULT = "espcn_x2"
VARIABLE = "ESPCN_WEIGHTS"
HUB_PREFIX = "hf://"


@dataclass(frozen=True)
class Weights:
    """A weights file whose SHA-256 and dimensions agree with its card; `reason` says why this one was taken."""

    name: str
    path: Path
    sha256: str
    dimensions: Dimensions
    card: Mapping[str, Any] = field(repr=False)
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Name, hash, reason and card as plain values."""
        return {"name": self.name, "sha256": self.sha256, "reason": self.reason, "card": dict(self.card)}


def folder() -> Path:
    """Where the bundled weights lie: inside the installed package, or `weights/` of the checkout."""
    package = Path(__file__).parent
    installed = package / "_weights"
    return installed if installed.is_dir() else package.parent / "weights"


def bundled() -> list[str]:
    """Names of the bundled network weights, sorted; int8 forms are no networks of their own."""
    names = (path.stem for path in folder().glob("espcn_x2*.safetensors"))
    return sorted(name for name in names if not name.endswith("_int8"))


def resolve(address: str | None = None) -> Weights:
    """Find and check weights: `address`, else the variable ESPCN_WEIGHTS, else the bundled default.

    `address` is a path, a bundled name or `hf://owner/name[@revision]/file.safetensors`. With nothing set no
    request is made. Raises WeightsError when what was asked for cannot be had; for the variable the bundled default
    serves then, with the reason, so that a page starts whatever the Hub does.
    """
    if address:
        return _at(address, "asked for")
    if variable := os.environ.get(VARIABLE):
        return _by_variable(variable)
    return replace(read(folder() / f"{DEFAULT}.safetensors"), reason="bundled default")


@lru_cache(maxsize=1)  # a Hub that hangs must not be waited for again with every engine
def _by_variable(variable: str) -> Weights:
    from espcn_demo.hub import or_bundled

    return or_bundled(lambda: _at(variable, f"set by {VARIABLE}"))


def _at(address: str, reason: str) -> Weights:
    if address.startswith(HUB_PREFIX):
        from espcn_demo.hub import fetch

        path, found = fetch(address)
        return replace(read(path), reason=f"{reason}: {found}")
    if address in bundled():
        return replace(read(folder() / f"{address}.safetensors"), reason=f"{reason}, bundled")
    path = Path(address)
    if path.suffix != ".safetensors" and not path.exists():
        names = ", ".join(bundled())
        raise WeightsError(
            f"no weights named {address!r}: give a .safetensors file, an hf:// address or one of {names}."
        )
    return replace(read(path), reason=reason)


def read(path: Path) -> Weights:
    """Check a weights file against the card beside it; raises WeightsError with the difference."""
    if not path.is_file():
        raise WeightsError(f"weights file {path.name} does not exist: check the path.")
    card_path = path.with_suffix(".json")
    try:
        card = json.loads(card_path.read_text(encoding="utf-8"))
        stated = str(card["sha256"])
        dimensions = Dimensions(tuple(card["dimensions"]["channels"]), tuple(card["dimensions"]["kernels"]))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise WeightsError(f"{path.name} has no {card_path.name} beside it: keep the two together.") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError, KeyError, TypeError) as error:
        raise WeightsError(f"{card_path.name} is not a weights card: download or train the weights again.") from error
    if digest != stated:
        raise WeightsError(f"{path.name} is damaged: its SHA-256 differs from its card; download it again.")
    if dimensions != DIMENSIONS:
        raise WeightsError(f"{path.name} holds a network of other dimensions ({dimensions.channels}): use others.")
    return Weights(path.stem, path, digest, dimensions, card, "read")


def load_network(weights: Weights) -> ESPCN:
    """The network in float32, ready to run; raises WeightsError when tensors are missing or of another shape."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from espcn_demo.model import ESPCN

    network = ESPCN(weights.dimensions)
    try:
        network.load_state_dict(load_file(weights.path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise WeightsError(f"{weights.path.name} does not hold this network's tensors: use other weights.") from error
    if not all(bool(torch.isfinite(p).all()) for p in network.parameters()):
        raise WeightsError(f"{weights.path.name} holds values that are not finite: train or download it again.")
    return network.eval().requires_grad_(False)


def save(network: ESPCN, path: Path, card: Mapping[str, Any]) -> None:
    """Write `path` and the card beside it, each under a temporary name first; SHA-256 and dimensions are added."""
    from safetensors.torch import save as to_bytes

    tensors = {name: tensor.detach().cpu().contiguous().float() for name, tensor in network.state_dict().items()}
    data = to_bytes(tensors)
    full = {"sha256": hashlib.sha256(data).hexdigest(), "dimensions": DIMENSIONS.as_dict(), **card}
    path.parent.mkdir(parents=True, exist_ok=True)
    _replace(path, data)
    _replace(path.with_suffix(".json"), (json.dumps(full, indent=2) + "\n").encode())


def second_pass(weights: Weights) -> Weights:
    """Weights for the second pass of a 4x chain: those trained for it when `weights` is the bundled default."""
    trained = folder() / f"{DEFAULT}_second.safetensors"
    if weights.name.startswith(DEFAULT) and weights.path.parent == folder() and trained.is_file():
        return replace(read(trained), reason="trained on the first pass's output")
    return replace(weights, reason=f"second pass with the same weights ({weights.reason})")


def _replace(path: Path, data: bytes) -> None:
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    os.replace(beside, path)
