"""ZeroGPU: CUDA exists only inside functions decorated with `spaces.GPU`, for as long as was asked for beforehand.

Everywhere else nothing of this does anything: `active()` is False and no module is imported. `prepare()` comes
before the first `import torch`, because `spaces` replaces parts of torch, and before the page answers.
"""

from __future__ import annotations

import functools
import inspect
import logging
import math
import os
import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

from .errors import InputError
from .limits import Limits
from .sandbox import Done

log = logging.getLogger(__name__)

LONGEST = 60.0  # seconds: half of what a visitor without an account has for a day
MARGIN = 1.5  # asked for / estimated; a job that runs out of its time is lost
START = 4.0  # seconds for moving the network to the GPU and compiling its kernels
TOO_LONG = "This would take about {:.0f} s of GPU time and {:.0f} s are the most for one job; it runs on the CPU."
NO_QUOTA = "Your GPU time for today is used up, so this runs on the CPU, which takes longer."
NO_GPU = "No GPU can be had at the moment, so this runs on the CPU, which takes longer."
PICTURE_RATE = 1.5e6  # source pixels a second; decoding and encoding take nearly all of it
CLIP_RATE = 10e6  # the same for clips, whose encoder is the slowest stage


class QuotaError(InputError):
    """ZeroGPU gives this visitor no time; the CPU can still do the work."""


def active() -> bool:
    """Whether this process runs on ZeroGPU hardware."""
    return os.environ.get("SPACES_ZERO_GPU", "").lower() in ("1", "t", "true")


def prepare() -> None:
    """On ZeroGPU import `spaces` before torch, and tell the platform which function needs the GPU; nothing elsewhere.

    The platform stops a Space that does not report one while it starts. `spaces` reports when Gradio launches a page;
    this page is mounted on a server of its own and never launched, so the report is made here.
    """
    if active():
        import spaces

        _decorated()
        spaces.zero.startup()


def duration(seconds: float, *_: object) -> int:
    """Whole seconds of GPU time to ask for when the clip's own estimate is `seconds`: the smallest honest number."""
    return max(1, math.ceil(START + MARGIN * seconds))


def fits(seconds: float) -> bool:
    """Whether a job of this estimate is short enough for the GPU."""
    return duration(seconds) <= LONGEST


def stream(
    seconds: float, function: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, Any]
) -> Generator[Any, None, None]:
    """Run a job on the GPU: yields its progress and `Done`, as `sandbox.Worker.stream`.

    Raises:
        QuotaError: there is no GPU, or not for long enough; run the job on the CPU.
        InputError: what the job raised.
    """
    try:
        for kind, value in _decorated()(seconds, function, args, kwargs):
            if kind == "refused":
                raise InputError(value)
            yield value
    except InputError:
        raise
    except Exception as error:  # no time left, no GPU free, or the time was up: the CPU has none of these
        log.warning("no GPU for a job: %s", type(error).__name__)
        words = f"{getattr(error, 'title', '')} {error}".lower()
        raise QuotaError(NO_QUOTA if "quota" in words or "limit" in words else NO_GPU) from error


def estimate(path: Path, limits: Limits) -> float:
    """Seconds that a picture or a clip will probably take on the GPU; opens the file, so run it in the worker.

    Raises:
        InputError: it is neither.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            if not getattr(picture, "is_animated", False):
                return float(picture.width * picture.height / PICTURE_RATE)
    except (UnidentifiedImageError, OSError, ValueError, Image.DecompressionBombError):
        log.debug("not a picture")
    from .video.facts import read_facts

    facts = read_facts(path, limits=limits)
    frames = facts.frames or round((facts.duration or limits.seconds) * 30)
    return float(facts.width * facts.height * frames / CLIP_RATE)


@functools.cache
def _decorated() -> Callable[..., Iterator[tuple[str, Any]]]:
    import spaces

    decorated: Callable[..., Iterator[tuple[str, Any]]] = spaces.GPU(duration=duration)(on_gpu)
    return decorated


def on_gpu(
    seconds: float, function: Callable[..., Any], args: tuple[object, ...], kwargs: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """The job itself, in the process that has the GPU; its thread's progress becomes this generator's values."""
    messages: queue.Queue[tuple[str, Any]] = queue.Queue()
    cancelled = threading.Event()
    parameters = inspect.signature(function).parameters
    if "on_progress" in parameters:
        kwargs = {**kwargs, "on_progress": lambda progress: messages.put(("progress", progress))}
    if "cancelled" in parameters:
        kwargs = {**kwargs, "cancelled": cancelled}
    started = time.monotonic()

    def work() -> None:
        try:
            result = function(*args, **kwargs)
        except InputError as error:
            messages.put(("refused", str(error)))
        except BaseException as error:
            messages.put(("failed", error))
        else:
            messages.put(("done", Done(result, time.monotonic() - started)))

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        while True:
            kind, value = messages.get()
            if kind == "failed":
                raise value
            yield kind, value
            if kind in ("done", "refused"):
                return
    finally:
        cancelled.set()
        thread.join()
