"""VMAF of frame pairs, by the libvmaf inside the ffmpeg that imageio-ffmpeg brings.

Frames go in through a pipe, the result above the reference, so that the pairs are those that were matched by time, and
ffmpeg opens no file of the user's.
"""

from __future__ import annotations

import json
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import EngineError

LOG = "vmaf.json"
SMALLEST = 32  # pixels; the features work on four halvings of the frame


class Vmaf:
    """Scores pairs of luma frames of one size; `add` each pair, then read `scores`.

    width, height   of the frames, pixels; odd ones lose their last column or row, since ffmpeg crops in 4:2:0

    Raises:
        EngineError: there is no ffmpeg with libvmaf, or the frames are too small.
    """

    def __init__(self, width: int, height: int) -> None:
        if min(width, height) < SMALLEST:
            raise EngineError(f"VMAF needs frames of at least {SMALLEST} pixels a side.")
        ffmpeg = executable()
        self._width, self._height = width // 2 * 2, height // 2 * 2
        self._folder = tempfile.TemporaryDirectory(prefix="espcn-vmaf-")
        self._errors = (Path(self._folder.name) / "errors").open("wb")
        self._process = subprocess.Popen(
            self._command(ffmpeg),
            cwd=self._folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
        )
        # VMAF looks at luma alone: the chroma of both frames is neutral grey.
        self._chroma = bytes([128]) * (self._width * self._height)

    def __enter__(self) -> Vmaf:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stdin is not None and not self._process.stdin.closed:
            try:
                self._process.stdin.close()
            except BrokenPipeError:  # what was still buffered has no reader any more, and needs none
                self._process.stdin = None
        self._errors.close()
        self._folder.cleanup()

    def add(self, reference: NDArray[np.uint8], result: NDArray[np.uint8]) -> None:
        """One pair of luma frames (H, W) uint8.

        Raises:
            EngineError: ffmpeg has stopped.
        """
        assert self._process.stdin is not None
        try:
            for plane in (result, reference):
                self._process.stdin.write(np.ascontiguousarray(plane[: self._height, : self._width]).data)
            self._process.stdin.write(self._chroma)
        except BrokenPipeError as error:
            raise EngineError(f"VMAF stopped: {self._last_error()}") from error

    def scores(self) -> list[float]:
        """The score of each pair in order, 0 to 100; ends the process.

        Raises:
            EngineError: ffmpeg failed.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
        except BrokenPipeError as error:
            raise EngineError(f"VMAF stopped: {self._last_error()}") from error
        if self._process.wait() != 0:
            raise EngineError(f"VMAF failed: {self._last_error()}")
        log = json.loads((Path(self._folder.name) / LOG).read_text())
        return [float(frame["metrics"]["vmaf"]) for frame in log["frames"]]

    def _command(self, ffmpeg: str) -> list[str]:
        width, height = self._width, self._height
        graph = (
            f"split[a][b];[a]crop={width}:{height}:0:0[result];[b]crop={width}:{height}:0:{height}[reference];"
            f"[result][reference]libvmaf=log_fmt=json:log_path={LOG}:n_threads=2"
        )
        source = ["-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{width}x{2 * height}", "-r", "25", "-i", "pipe:0"]
        return [ffmpeg, "-hide_banner", "-loglevel", "error", *source, "-lavfi", graph, "-f", "null", "-"]

    def _last_error(self) -> str:
        self._errors.flush()
        lines = Path(self._errors.name).read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "ffmpeg gave no reason"


@cache
def executable() -> str:
    """Path of an ffmpeg with libvmaf.

    Raises:
        EngineError: imageio-ffmpeg is not installed, or its ffmpeg has no libvmaf here.
    """
    try:
        import imageio_ffmpeg

        path = str(imageio_ffmpeg.get_ffmpeg_exe())
    except (ImportError, RuntimeError) as error:
        raise EngineError("VMAF needs the ffmpeg of imageio-ffmpeg: pip install imageio-ffmpeg.") from error
    filters = subprocess.run([path, "-hide_banner", "-filters"], capture_output=True, text=True, check=False).stdout
    if " libvmaf " not in filters:
        raise EngineError("VMAF is not available: the bundled ffmpeg of this system was built without libvmaf.")
    return path
