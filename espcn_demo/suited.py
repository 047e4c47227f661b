"""Which weights suit a source: those for clean pictures, or those for compressed ones, by the source's own quantiser.

The limits between them are measured by `python -m train crossover` and lie beside the weights.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from .errors import InputError
from .quantiser import Quantiser, picture_quantiser, video_quantiser
from .weights import DEFAULT, VARIABLE, bundled, folder

LIMITS = "suited.json"


def suited(path: Path | str) -> tuple[str, str]:
    """The name of the bundled weights for a picture or a clip, and why, in one sentence.

    Never fails on a readable file: with an unknown quantiser, or without the other weights, it is the default.
    """
    path = Path(path)
    try:
        found = picture_quantiser(path)
    except InputError:
        found = video_quantiser(path)
    return choose(found)


def weights_for(path: Path, asked: str | None) -> tuple[str | None, str]:
    """What to give as `weights` for a source: what was asked for or set, else what suits it; and why.

    For a folder, and for a file that cannot be read, the usual default: opening it then says what is wrong.
    """
    if asked or os.environ.get(VARIABLE) or not path.is_file():
        return asked, ""
    try:
        return suited(path)
    except InputError:
        return None, ""


def choose(found: Quantiser) -> tuple[str, str]:
    """The name of the bundled weights for a quantiser, and why."""
    limits = _limits()
    if found.qp is None:
        return DEFAULT, f"{found.source}: weights for clean sources"
    kind = "jpeg" if found.quality is not None else "video"
    name = DEFAULT
    for candidate, least in sorted(limits.get(kind, {}).items(), key=lambda item: item[1]):
        if found.qp >= least:
            name = candidate
    return name, f"{found.source}: weights for {_kind(name)} sources"


def _kind(name: str) -> str:
    if name == DEFAULT:
        return "clean"
    strength = {"_light": "lightly ", "_strong": "strongly "}
    return next((word for ending, word in strength.items() if name.endswith(ending)), "") + "compressed"


def _limits() -> dict[str, dict[str, float]]:
    """The least QP for each bundled weights file, by kind of source."""
    path = folder() / LIMITS
    if not path.is_file():
        return {}
    there = set(bundled())
    stored = json.loads(path.read_text(encoding="utf-8"))
    return {kind: {n: float(qp) for n, qp in stored[kind].items() if n in there} for kind in ("video", "jpeg")}
