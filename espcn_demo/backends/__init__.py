"""Engines behind the Upscaler contract, and the choice among them.

`choose("auto")` takes the first of NAMES that runs here; each refusal's reason is logged and kept on the engine.
"""

from __future__ import annotations

import logging
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from espcn_demo.errors import EngineError, InputError

if TYPE_CHECKING:
    from espcn_demo.upscaler import Upscaler
    from espcn_demo.weights import Weights

log = logging.getLogger(__name__)

NAMES = ("tensorrt", "cuda", "openvino", "torch")  # in order of preference
PRECISIONS = ("float32", "bf16", "float16", "int8")
_MODULES = {
    "tensorrt": "espcn_demo.backends.tensorrt",
    "cuda": "espcn_demo.backends.cuda",
    "openvino": "espcn_demo.backends.openvino",
    "torch": "espcn_demo.backends.eager",
}


def open_backend(name: str, weights: Weights, precision: str | None = None) -> Upscaler:
    """Open one backend by name; raises EngineError with the reason when it cannot run here."""
    try:
        engine: Upscaler = import_module(_MODULES[name]).open_engine(weights, precision)
        return engine
    except InputError:
        raise
    except Exception as error:
        # A driver or library may fail in any way at all; the reason is passed on, and another backend serves.
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EngineError(f"{name}: {first_line}") from error


def choose(name: str = "auto", *, weights: Weights, precision: str | None = None) -> Upscaler:
    """The engine to use, opened; scale 2.

    With "auto" the first that opens serves and the later ones wait to take over should it fail; a backend asked for by
    name is used or refused with an EngineError.
    """
    from espcn_demo.upscaler import HandOver

    if name not in ("auto", *NAMES):
        raise InputError(f"no backend {name!r}: use auto, {', '.join(NAMES)}.")
    if precision not in (None, *PRECISIONS):
        raise InputError(f"no precision {precision!r}: use {', '.join(PRECISIONS)}.")
    if name != "auto":
        return _announce(open_backend(name, weights, precision))
    refusals: list[str] = []
    for position, candidate in enumerate(NAMES):
        try:
            engine = open_backend(candidate, weights, precision)
        except EngineError as error:
            refusals.append(str(error))
            log.info("refused: %s", error)
            continue
        later = [partial(open_backend, other, weights, precision) for other in NAMES[position + 1 :]]
        return HandOver(later, first=_announce(engine), refusals=refusals)
    raise EngineError(f"no backend runs here: {'; '.join(refusals)}.")


def _announce(engine: Upscaler) -> Upscaler:
    log.info("backend %s: %s", engine.name, engine.reason)
    return engine
