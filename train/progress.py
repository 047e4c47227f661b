"""What a run shows while it works: a bar on a terminal, single lines when piped."""

from __future__ import annotations

import platform
import sys
import time
from types import TracebackType
from typing import Any, Self

import torch

from train.trainer import State


class Bar:
    """A progress bar with loss, PSNR, ETA and the share of time spent waiting for data; needs tqdm and a terminal."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled, self._bar, self._shown = enabled, None, 0.0
        if enabled and sys.stderr.isatty():
            try:
                from tqdm import tqdm
            except ImportError:
                print("no progress bar: pip install tqdm", file=sys.stderr)
                return
            self._bar = tqdm(total=100.0, bar_format="{percentage:4.1f}% |{bar}| {elapsed}<{remaining} {postfix}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.close()

    def show(self, progress: float, state: State, waited: float) -> None:
        """Move the bar, four times a second at most."""
        now = time.monotonic()
        if self._bar is None or now - self._shown < 0.25:
            return
        self._shown = now
        values: dict[str, Any] = {"step": state.step, "loss": f"{state.loss():.5f}"}
        if state.history:
            values["PSNR"] = f"{state.history[-1]['psnr']:.2f}"
        values["waiting"] = f"{100 * waited:.1f}%"
        self._bar.set_postfix(values, refresh=False)
        self._bar.update(100 * min(progress, 1.0) - self._bar.n)

    def line(self, text: str) -> None:
        """One line of report, above the bar."""
        if self._bar is not None:
            self._bar.write(text, file=sys.stderr)
        elif self.enabled:
            print(text, file=sys.stderr, flush=True)


def versions() -> dict[str, str]:
    """The versions that decide a result."""
    import numpy
    import PIL

    return {
        "python": platform.python_version(), "torch": torch.__version__, "numpy": numpy.__version__,
        "pillow": PIL.__version__,
    }  # fmt: skip
