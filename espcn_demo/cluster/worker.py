"""A worker: one warm engine that makes segments and pictures; the crew runs it as a Ray actor."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from espcn_demo.cluster.cores import keep_to_cores
from espcn_demo.cluster.index import Astray
from espcn_demo.cluster.reel import Reel
from espcn_demo.cluster.sources import Cupboard, why_unseen
from espcn_demo.cluster.tasks import (
    Enlarged,
    Facts,
    PictureTask,
    Piece,
    Refused,
    Result,
    Setup,
    Source,
    Task,
    Unseen,
    WeightsFile,
)
from espcn_demo.cluster.versions import differences
from espcn_demo.errors import InputError
from espcn_demo.upscaler import Upscaler, open_upscaler

log = logging.getLogger(__name__)


class Worker:
    """Makes what it is given, one task at a time.

    run    name of the run, for the copies of its sources
    """

    def __init__(self, setup: Setup, run: str) -> None:
        self._setup = setup
        self._cupboard = Cupboard(run)
        self._engine: Upscaler | None = None
        self._reel: Reel | None = None
        self._plain: set[int] = set()  # clips that do not match their index
        self._node = socket.gethostname()
        self._weights: tempfile.TemporaryDirectory[str] | None = None  # kept: engines that take over read them again

    def start(self, node: str) -> Facts:
        """Open the engine; `node` is what this machine is called in sentences.

        Raises:
            InputError: other versions or weights than the head's, or an engine that does not run here.
        """
        self._node = node
        if difference := differences(self._setup.versions):
            raise InputError(f"{node} has {difference}: install the same versions on every machine.")
        keep_to_cores(self._setup.cpus)
        setup = self._setup
        self._engine = open_upscaler(
            scale=setup.scale,
            weights=self._address(setup.weights),
            backend=setup.backend,
            precision=setup.precision,
            quality=setup.quality,
        )
        return Facts(node, socket.gethostname(), os.getpid(), self._engine.name, self._engine.reason)

    def make(self, task: Task) -> tuple[Result, bytes]:
        """The result of a task and the bytes of its file."""
        assert self._engine is not None, "start comes first"
        path = self._find(task.source)
        if isinstance(path, Unseen):
            return path, b""
        with tempfile.TemporaryDirectory(prefix="espcn-work-") as folder:
            if isinstance(task, Piece):
                return self._segment(task, path, self._engine, Path(folder))
            return self._picture(task, path, self._engine, Path(folder))

    def leave(self) -> None:
        """Close what is open and remove this machine's copies of the run's sources."""
        self._close()
        self._cupboard.clear()
        if self._weights is not None:
            self._weights.cleanup()

    def _address(self, weights: WeightsFile) -> str:
        """The address to open the weights by, after making sure that they are the head's."""
        from espcn_demo.weights import resolve

        if not weights.data:
            if resolve(weights.name).sha256 != weights.sha256:
                raise InputError(
                    f"{self._node} has other weights called {weights.name}: install the same version there."
                )
            return weights.name
        self._weights = tempfile.TemporaryDirectory(prefix="espcn-weights-")
        path = Path(self._weights.name) / f"{weights.name}.safetensors"
        path.write_bytes(weights.data)
        path.with_suffix(".json").write_bytes(weights.card)
        return str(path)

    def _find(self, source: Source) -> Path | Unseen:
        if (copy := self._cupboard.find(source)) is not None:
            return copy
        reason = why_unseen(source, node=self._node)
        if reason is None:
            return Path(source.path)
        return self._cupboard.fetch(source) if source.parts else Unseen(reason)

    def _segment(self, piece: Piece, path: Path, engine: Upscaler, folder: Path) -> tuple[Result, bytes]:
        try:
            made = self._reel_for(piece, path, engine).make(piece, engine, folder)
        except Astray as astray:
            log.info("%s: %s; read from the beginning", piece.title, astray)
            self._close()
            self._plain.add(piece.job)
            return self._segment(piece, path, engine, folder)
        except BaseException:
            self._close()
            raise
        return made, b"" if made.segment is None else (folder / made.segment.file).read_bytes()

    def _reel_for(self, piece: Piece, path: Path, engine: Upscaler) -> Reel:
        """The clip opened at a place before the segment, the nearer one of where it is and where its anchor is."""
        begin, reel = piece.index * piece.frames, self._reel
        if reel is None or reel.job != piece.job or reel.position > begin:
            self._close()
            reel = self._reel = Reel(path, piece, scale=engine.scale)
        anchor = None if piece.job in self._plain else piece.anchor
        if anchor is not None and begin - reel.position > anchor.between:
            reel.seek(piece.index, piece.frames, anchor)
        return reel

    def _picture(self, task: PictureTask, path: Path, engine: Upscaler, folder: Path) -> tuple[Result, bytes]:
        from espcn_demo.image import upscale_image

        begin = time.perf_counter()
        out = folder / Path(task.out).name
        try:
            report = upscale_image(path, out, upscaler=engine, strip_location=task.strip_location, limits=task.limits)
        except InputError as error:
            return Refused(str(error)), b""
        report = replace(report, input=task.source.path, output=task.out)
        return Enlarged(report, time.perf_counter() - begin, engine.name), out.read_bytes()

    def _close(self) -> None:
        reel, self._reel = self._reel, None
        if reel is not None:
            with suppress(OSError):  # it was read only: nothing is lost
                reel.close()
