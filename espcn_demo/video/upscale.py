"""A clip in, a clip of twice or four times the size out: what `espcn video` and the page call."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError
from ..limits import Limits
from .clip import Batch, Clip, open_clip
from .finish import complete, mark, report
from .frames import Samples
from .pipeline import Pipeline
from .report import Progress, VideoReport
from .segments import SegmentWriter, Workshop, identity
from .settings import check_settings
from .still import Stills

if TYPE_CHECKING:
    from av.error import FFmpegError
    from av.video.frame import VideoFrame

    from ..upscaler import Upscaler

OnProgress = Callable[[Progress], None]


def upscale_video(
    path: str | Path,
    out: str | Path,
    *,
    scale: int = 2,
    upscaler: Upscaler | None = None,
    weights: str | None = None,
    backend: str = "auto",
    quality: str = "fast",
    codec: str | None = None,
    crf: int = 18,
    preset: str | None = None,
    start: float | None = None,
    duration: float | None = None,
    resume: bool = False,
    limits: Limits | None = None,
    on_progress: OnProgress | None = None,
    cancelled: threading.Event | None = None,
) -> VideoReport:
    """Enlarge a clip; sound, subtitles, chapters, times and colours come along.

    out          .mp4, .m4v, .mov, .mkv, .webm or .gif; appears only when it is complete and verified
    scale        2 or 4; an `upscaler` of one's own decides itself
    codec, crf   h264, hevc, av1 or vp9 and its constant rate factor (smaller is better); `preset` is the encoder's own;
                 without a codec VP9 for WebM, or AV1 for more than 8 bits, and H.264 for the others
    start, duration  seconds: the part of the clip that is wanted
    resume       take over what an interrupted run with the same input and settings has finished
    on_progress  called after every batch, from another thread
    cancelled    set it to stop: `pipeline.Cancelled` is raised and nothing is left behind

    Raises:
        InputError: the clip, the options, the disk or the encoder: one sentence says what to do.
    """
    from av.error import FFmpegError

    begin = time.perf_counter()
    path, out = Path(path), Path(out)
    settings = check_settings(out, codec=codec, crf=crf, preset=preset, start=start, duration=duration)
    check_output(path, out)
    engine, marks = _engine(upscaler, scale, weights, backend, quality)
    with open_clip(path, settings, scale=engine.scale, limits=limits) as clip:
        key = {"input": identity(path), "settings": settings.as_dict(), "engine": marks, "encoder": mark(clip)}
        workshop = Workshop(out, key)
        try:
            workshop.open(resume=resume)
            done = _work(clip, engine, workshop, out, on_progress, cancelled, begin)
        except InputError:
            workshop.remove()
            raise
        except (OSError, FFmpegError) as error:
            if not resume:
                workshop.remove()
            raise InputError(_why(error, out, kept=resume)) from error
        except BaseException:
            workshop.remove()
            raise
        workshop.remove()
    return done


def upscale_frames(
    path: str | Path,
    *,
    scale: int = 2,
    upscaler: Upscaler | None = None,
    weights: str | None = None,
    backend: str = "auto",
    quality: str = "fast",
    start: float | None = None,
    duration: float | None = None,
    limits: Limits | None = None,
) -> Iterator[VideoFrame]:
    """The enlarged frames of a clip, one after the other, upright, as PyAV frames.

    `frame.pts * frame.time_base` is the time in seconds; `frame.to_ndarray(format="rgb24")` gives (H, W, 3) uint8.

    Raises:
        InputError: as `upscale_video`.
    """
    path = Path(path)
    settings = check_settings(Path("frames.mkv"), codec="hevc", crf=18, preset=None, start=start, duration=duration)
    engine, _ = _engine(upscaler, scale, weights, backend, quality)
    with open_clip(path, settings, scale=engine.scale, limits=limits) as clip:
        stills = Stills(engine, step=2 if clip.encoding.layout.alpha else 1)
        for batch in clip.batches():
            planes = stills.upscale(batch.planes, white=clip.encoding.layout.white)
            yield from _finish(clip, batch, planes)


def encode_segments(
    clip: Clip,
    engine: Upscaler,
    workshop: Workshop,
    *,
    pipeline: Pipeline[Batch, tuple[Batch, Samples]],
    last: int | None = None,
    on_batch: Callable[[int, Samples], None] | None = None,
) -> Sink:
    """Enlarge the frames that `workshop` does not hold yet, up to but without frame `last`, into closed segments.

    The first frame is the one after the segments that are there; on failure the unfinished segment is closed.
    """
    sink = Sink(clip, workshop, on_batch)
    white = clip.encoding.layout.white
    stills = Stills(engine, step=2 if clip.encoding.layout.alpha else 1)
    try:
        pipeline.run(
            clip.batches(first=workshop.frames, last=last),
            lambda batch: (batch, stills.upscale(batch.planes, white=white)),
            sink.write,
        )
        sink.close()
    finally:
        sink.abandon()
    return sink


class Sink:
    """The end of the pipeline: puts frames together and encodes them, one segment after the other."""

    def __init__(self, clip: Clip, workshop: Workshop, on_batch: Callable[[int, Samples], None] | None) -> None:
        self._clip, self._workshop, self._on_batch = clip, workshop, on_batch
        self._writer: SegmentWriter | None = None
        self.first: Samples | None = None  # the source's luma of the first and of the last frame
        self.last: Samples | None = None

    def write(self, done: tuple[Batch, Samples]) -> None:
        """Encode a batch."""
        batch, planes = done
        for frame in _finish(self._clip, batch, planes):
            if self._writer is None:
                self._writer = SegmentWriter(self._workshop.next_path(), self._clip.encoding)
            self._writer.write(frame)
            if self._writer.frames == self._clip.segment:
                self._finish_segment()
        step = len(batch.planes) // len(batch.frames)
        self.first = batch.planes[0] if self.first is None else self.first
        self.last = batch.planes[-step]
        if self._on_batch is not None:
            self._on_batch(self.frames, planes[-step])

    def close(self) -> None:
        """Finish the last segment."""
        if self._writer is not None:
            self._finish_segment()

    def abandon(self) -> None:
        """Close what is unfinished."""
        if self._writer is not None:
            self._writer.abandon()
            self._writer = None

    @property
    def frames(self) -> int:
        """Frames encoded so far, those of earlier runs included."""
        return self._workshop.frames + (self._writer.frames if self._writer is not None else 0)

    def _finish_segment(self) -> None:
        assert self._writer is not None
        self._workshop.add(self._writer.close())
        self._writer = None


def check_output(path: Path, out: Path) -> None:
    """Refuse a result that cannot be written or would replace its own source.

    Raises:
        InputError: says which.
    """
    folder = out.parent
    if not folder.is_dir():
        raise InputError(f"the folder {folder} does not exist: create it first.")
    if not os.access(folder, os.W_OK):
        raise InputError(f"the folder {folder} cannot be written to: choose another.")
    if out.is_dir():
        raise InputError(f"{out} is a folder: give the name of a file.")
    if out.exists() and path.exists() and out.samefile(path):
        raise InputError(f"{out} is the input itself: choose another name for the result.")


def _work(
    clip: Clip,
    engine: Upscaler,
    workshop: Workshop,
    out: Path,
    on_progress: OnProgress | None,
    cancelled: threading.Event | None,
    begin: float,
) -> VideoReport:
    resumed = workshop.frames
    pipeline: Pipeline[Batch, tuple[Batch, Samples]] = Pipeline(cancelled=cancelled)
    teller = _Teller(clip, pipeline, on_progress, resumed)
    sink = encode_segments(clip, engine, workshop, pipeline=pipeline, on_batch=teller.tell if on_progress else None)
    first, last = _mean(clip, sink.first, resumed), _mean(clip, sink.last, 0)
    joined = complete(clip, workshop, out, first=first, last=last)
    seconds = time.perf_counter() - begin
    return report(clip, engine, workshop.segments, out, joined, pipeline.stages, resumed=resumed, seconds=seconds)


class _Teller:
    """Turns finished batches into Progress."""

    def __init__(self, clip: Clip, pipeline: Pipeline[Any, Any], on_progress: OnProgress | None, resumed: int) -> None:
        self._clip, self._pipeline, self._on_progress = clip, pipeline, on_progress
        self._resumed = resumed
        self._begin = time.perf_counter()

    def tell(self, frames: int, latest: Samples) -> None:
        """Report that so many frames are encoded."""
        total = self._clip.total
        total = max(total, frames) if total else None  # headers can promise too little
        fps = (frames - self._resumed) / max(1e-6, time.perf_counter() - self._begin)
        eta = (total - frames) / fps if total and fps > 0 else None
        assert self._on_progress is not None
        self._on_progress(Progress(frames, total, fps, eta, self._pipeline.stages, latest))


def _engine(
    upscaler: Upscaler | None, scale: int, weights: str | None, backend: str, quality: str
) -> tuple[Upscaler, dict[str, Any]]:
    """The engine and what identifies its results."""
    if upscaler is not None:
        return upscaler, {"name": upscaler.name, "scale": upscaler.scale}
    from ..upscaler import open_upscaler
    from ..weights import resolve

    engine = open_upscaler(scale=scale, weights=weights, backend=backend, quality=quality)
    return engine, {"name": engine.name, "scale": scale, "quality": quality, "weights": resolve(weights).sha256}


def _finish(clip: Clip, batch: Batch, planes: Samples) -> Iterator[VideoFrame]:
    step = len(planes) // len(batch.frames)
    for index, frame in enumerate(batch.frames):
        clip.canvas.join(frame, planes[index * step : (index + 1) * step])
        yield frame


def _mean(clip: Clip, luma: Samples | None, resumed: int) -> float | None:
    return None if luma is None or resumed else float(luma.mean()) / clip.encoding.layout.white


def _why(error: OSError | FFmpegError, out: Path, *, kept: bool) -> str:
    end = "; what is finished was kept, run again with --resume." if kept else "."
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: make room for {out.name} or choose another folder{end}"
    if not out.parent.is_dir():
        return f"the folder {out.parent} disappeared while {out.name} was being written{end}"
    return f"{out.name} could not be written ({error.strerror or error}){end}"
