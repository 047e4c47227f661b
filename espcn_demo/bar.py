"""Progress on a terminal: a bar on stderr, nothing when stderr is piped."""

from __future__ import annotations

import sys
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from tqdm import tqdm

if TYPE_CHECKING:
    from espcn_demo.video.report import Progress


class Bar:
    """A tqdm bar whose methods fit the library's callbacks; `unit` is what it counts."""

    def __init__(self, unit: str) -> None:
        self._bar = tqdm(unit=f" {unit}", disable=not sys.stderr.isatty(), leave=False, file=sys.stderr)

    def __enter__(self) -> Bar:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def share(self, done: float) -> None:
        """`done` of one picture, from 0 to 1."""
        self._to(round(100 * done), 100)

    def file(self, number: int, count: int, path: Path) -> None:
        """File `number` of `count` begins."""
        self._bar.set_postfix_str(path.name)
        self._to(number - 1, count)

    def video(self, progress: Progress) -> None:
        """Frames of a clip."""
        self._to(progress.frames, progress.total)

    def _to(self, done: int, total: int | None) -> None:
        self._bar.total = total
        self._bar.update(done - self._bar.n)
