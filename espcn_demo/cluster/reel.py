"""A clip that stays open on a worker: segment after segment without starting from its beginning again."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING

from espcn_demo.cluster.index import Anchor, Astray
from espcn_demo.cluster.tasks import Made, Piece
from espcn_demo.video.clip import Batch, open_clip
from espcn_demo.video.decode import Health, Reader
from espcn_demo.video.frames import Canvas, Samples
from espcn_demo.video.pipeline import Pipeline
from espcn_demo.video.segments import Segment, Workshop
from espcn_demo.video.source import open_source, video_stream
from espcn_demo.video.upscale import encode_segments

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

    from espcn_demo.upscaler import Upscaler


class Reel:
    """An open clip and how far it was read; after an exception it must be closed."""

    def __init__(self, path: Path, piece: Piece, *, scale: int) -> None:
        self.job = piece.job
        self.position = 0  # frames that were taken off the tape
        self._stack = ExitStack()
        self._clip = self._stack.enter_context(open_clip(path, piece.settings, scale=scale, limits=piece.limits))
        # The head has chosen the encoder: this machine could come to another choice, and segments would not fit.
        self._clip.encoding, self._clip.segment = piece.encoding, piece.frames
        self._clip.canvas = Canvas(piece.encoding.layout, scale)
        self._tape: Iterator[VideoFrame] = self._clip._frames
        self._sought = False

    def seek(self, index: int, frames: int, anchor: Anchor) -> None:
        """Go to a segment by its index.

        Raises:
            Astray: the frames on the way are not those of the index.
        """
        from av.error import FFmpegError

        clip = self._clip
        container = self._stack.enter_context(open_source(clip.path, limits=clip.limits))
        stream = video_stream(container)
        assert stream is not None  # open_clip has checked
        clip.reader, clip.upright = Reader(container, stream), replace(clip.upright, _graph=None, _key=())
        try:
            container.seek(anchor.key, stream=stream)
        except FFmpegError as error:
            raise Astray("the clip cannot be sought") from error
        tape = clip.upright.frames(clip.reader)
        on_the_way = 0
        for frame in tape:
            assert frame.pts is not None
            if frame.pts >= anchor.first:
                break
            on_the_way += frame.pts >= anchor.key
        else:
            raise Astray("the clip ends before the segment")
        if frame.pts != anchor.first or on_the_way != anchor.between:
            raise Astray("other frames lie before the segment")
        self._tape, self._sought = chain([frame], tape), True
        self.position = index * frames

    def close(self) -> None:
        """Close the clip."""
        self._stack.close()

    def make(self, piece: Piece, engine: Upscaler, folder: Path) -> Made:
        """Make a segment that does not lie before `position`, as a file in `folder`."""
        begin = time.perf_counter()
        skip = piece.index * piece.frames - self.position
        self._clip._frames = islice(self._tape, skip + piece.frames)
        desk = _Desk(folder, skip)
        pipeline: Pipeline[Batch, tuple[Batch, Samples]] = Pipeline()
        sink = encode_segments(self._clip, engine, desk, pipeline=pipeline)
        self.position += skip + piece.frames
        following = next(self._tape, None)
        if self._sought:
            self._check(piece, desk)
        if following is not None:
            self._tape = chain([following], self._tape)
        return Made(
            segment=desk.segments[0] if desk.segments else None,
            ended=following is None,
            first=self._mean(sink.first),
            last=self._mean(sink.last),
            health=replace(self._clip.health),
            notes=dict(self._clip.upright.notes),
            stages=pipeline.stages,
            seconds=time.perf_counter() - begin,
            engine=engine.name,
        )

    def _check(self, piece: Piece, desk: _Desk) -> None:
        """Whether what was read after seeking is what reading from the beginning would have given."""
        clean = self._clip.health == Health() and not self._clip.upright.deinterlaced
        made = desk.segments[0] if desk.segments else None
        if not clean or piece.anchor is None or not piece.anchor.fits(made):
            raise Astray("the segment is not that of the index")

    def _mean(self, luma: Samples | None) -> float | None:
        return None if luma is None else float(luma.mean()) / self._clip.encoding.layout.white


class _Desk(Workshop):
    """A workshop for one segment, in somebody else's folder; the frames before it count as made."""

    def __init__(self, folder: Path, before: int) -> None:
        self.folder = folder
        self.segments: list[Segment] = []
        self._before = before

    @property
    def frames(self) -> int:
        """Frames that need not be made."""
        return self._before + sum(segment.frames for segment in self.segments)

    def add(self, segment: Segment) -> None:
        """Take the segment; no manifest."""
        self.segments.append(segment)
