"""One clip of a run: which segments are still to be made, those that are there, and the result at the end."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from espcn_demo.cluster.index import Index, read_index
from espcn_demo.cluster.report import ClusterVideoReport, Tally
from espcn_demo.cluster.shelf import Shelf
from espcn_demo.cluster.sources import describe
from espcn_demo.cluster.tasks import Made, Piece, Setup
from espcn_demo.limits import GENEROUS, Limits
from espcn_demo.video import finish
from espcn_demo.video.clip import open_clip
from espcn_demo.video.report import Stages, StageTime
from espcn_demo.video.segments import identity
from espcn_demo.video.settings import Settings

Luma = float | None
_LONG = 4  # segments of a clip from which on an index pays
_BLIND = 9  # segments to hand out beyond the last known one when a clip does not tell its length


@dataclass(frozen=True)
class _Engine:
    """What a report tells of the workers' engine."""

    name: str
    reason: str
    scale: int


class ClipJob:
    """A clip, opened on the head, whose segments are made elsewhere; a context manager.

    Raises:
        InputError: the clip or the settings cannot be used, on construction already.
    """

    def __init__(
        self, number: int, path: Path, out: Path, settings: Settings, *, setup: Setup, limits: Limits | None
    ) -> None:
        self.number, self.path, self.out = number, path, out
        self._begin = time.perf_counter()
        self._setup, self._settings, self._limits = setup, settings, limits or GENEROUS
        self._stack = ExitStack()
        self._clip = self._stack.enter_context(open_clip(path, settings, scale=setup.scale, limits=limits))
        self._source = describe(path)
        self._shelf: Shelf | None = None
        self._handed: set[int] = set()
        self._cursors: dict[int, int] = {}  # the segment that each worker was given last
        self._count: int | None = None  # segments, once the end was seen
        self._resumed = 0
        self._index: Index | None = None
        self._stages: Stages = {}
        self._ends: dict[int, tuple[Luma, Luma]] = {}

    def close(self, *, keep: bool) -> None:
        """Close the clip; `keep` finished segments for a run that resumes, if there are any."""
        self._stack.close()
        if self._shelf is not None and not (keep and self._shelf.made):
            self._shelf.remove()

    def start(self, tally: Tally, *, resume: bool) -> None:
        """Make the folder for segments, once it is known which engine makes them."""
        engine = {
            "name": tally.engine,
            "scale": self._setup.scale,
            "quality": self._setup.quality,
            "weights": self._setup.weights.sha256,
        }
        key = {"input": identity(self.path), "settings": self._settings.as_dict(), "engine": engine}
        self._shelf = Shelf(self.out, {**key, "encoder": finish.mark(self._clip)})
        self._shelf.open(resume=resume)
        self._resumed = self._shelf.made
        there = [*enumerate(self._shelf.segments), *self._shelf.ahead.items()]
        short = [index for index, segment in there if segment.frames < self._clip.segment]
        self._count = short[0] + 1 if short else None  # only the last one is short
        self._index = self._read_index()
        if self._index is not None:
            self._count = self._limit()

    @property
    def started(self) -> bool:
        """Whether `start` was called."""
        return self._shelf is not None

    @property
    def frames(self) -> int:
        """Frames in finished segments."""
        return 0 if self._shelf is None else self._shelf.made

    @property
    def resumed(self) -> int:
        """Frames taken over from an interrupted run."""
        return self._resumed

    @property
    def total(self) -> int | None:
        """Expected frames, None when the clip does not tell."""
        return self._clip.total

    @property
    def stages(self) -> Stages:
        """Seconds of all workers together."""
        return self._stages

    def next(self, worker: int) -> Piece | None:
        """The next segment for a worker; None while the end is not known, and when all are handed out."""
        assert self._shelf is not None, "start comes first"
        free = [index for index in range(self._limit()) if index not in self._handed and not self._shelf.holds(index)]
        if not free:
            return None
        index = next_index(free, self._cursors, worker) if self._index is not None else free[0]
        self._handed.add(index)
        self._cursors[worker] = index
        clip = self._clip
        anchor = self._index.anchor(index, clip.segment) if self._index is not None else None
        return Piece(
            self.number, self._source, self._settings, clip.encoding, self._limits, index, clip.segment, anchor
        )

    def add(self, piece: Piece, made: Made, data: bytes) -> None:
        """Take a finished segment."""
        assert self._shelf is not None, "start comes first"
        if (piece.anchor is None) != (self._index is None):
            return  # handed out before the index turned out to be wrong
        if piece.anchor is not None and not (piece.anchor.fits(made.segment) and made.ended == self._is_last(piece)):
            self._start_again()
            return
        if made.segment is not None:
            self._shelf.put(piece.index, made.segment, data)
            self._ends[piece.index] = (made.first, made.last)
        if made.ended:
            count = piece.index + (made.segment is not None)
            self._count = count if self._count is None else min(self._count, count)
        health = self._clip.reader.health
        for one in fields(health):  # each worker counts from the clip's beginning: the highest is the whole
            setattr(health, one.name, max(getattr(health, one.name), getattr(made.health, one.name)))
        self._clip.upright.notes.update(made.notes)
        for name, stage in made.stages.items():
            before = self._stages.get(name, StageTime(0.0, 0.0))
            self._stages[name] = StageTime(round(before.spent + stage.spent, 4), round(before.waited + stage.waited, 4))

    @property
    def complete(self) -> bool:
        """Whether all segments are there."""
        return self._shelf is not None and self._count is not None and len(self._shelf.segments) >= self._count

    def finish(self, tally: Tally) -> ClusterVideoReport:
        """Join, verify and name the result, exactly as on one machine.

        Raises:
            InputError: the result is not sound or cannot be written.
        """
        assert self._shelf is not None and self._count, "all segments come first"
        first, last = self._ends.get(0, (None, None))[0], self._ends.get(self._count - 1, (None, None))[1]
        self._clip.read = self._shelf.frames  # by all workers together
        joined = finish.complete(self._clip, self._shelf, self.out, first=first, last=last)
        report = finish.report(
            self._clip,
            _Engine(tally.engine, tally.reason, self._setup.scale),
            self._shelf.segments,
            self.out,
            joined,
            self._stages or {"upscale": StageTime(0.0, 0.0)},
            resumed=self._resumed,
            seconds=time.perf_counter() - self._begin,
        )
        self._shelf.remove()
        plain: dict[str, Any] = {one.name: getattr(report, one.name) for one in fields(report)}
        return ClusterVideoReport(**plain, cluster=tally.share())

    def _read_index(self) -> Index | None:
        """The index of a clip that is long enough to need one and whose finished segments agree with it."""
        assert self._shelf is not None
        settings, size = self._settings, self._clip.segment
        if settings.start or settings.duration is not None or (self._clip.total or 0) < _LONG * size:
            return None
        index = read_index(self.path, limits=self._limits)
        there = [*enumerate(self._shelf.segments), *self._shelf.ahead.items()]
        if index is None or self._clip.upright.deinterlaced:
            return None
        anchors = [(index.anchor(number, size), segment) for number, segment in there]
        if any(anchor is None or not anchor.fits(segment) for anchor, segment in anchors):
            return None
        return index if all(index.anchor(number, size) for number in range(-(-len(index.times) // size))) else None

    def _is_last(self, piece: Piece) -> bool:
        return piece.index + 1 == self._limit()

    def _start_again(self) -> None:
        """Throw away what was made by a wrong index; from now on workers read from the beginning."""
        assert self._shelf is not None
        self._shelf.open(resume=False)
        self._index, self._count, self._resumed = None, None, 0
        self._handed.clear()
        self._ends.clear()

    def _limit(self) -> int:
        """Segments that may be handed out: all when the end was seen, else as many as the clip claims to have."""
        if self._index is not None:
            return -(-len(self._index.times) // self._clip.segment)
        if self._count is not None:
            return self._count
        assert self._shelf is not None
        claimed = -(-(self._clip.total or 0) // self._clip.segment)
        known = max([len(self._shelf.segments) - 1, *self._shelf.ahead])
        return max(claimed, known + (2 if self._clip.total else _BLIND))


def next_index(free: Sequence[int], cursors: Mapping[int, int], worker: int) -> int:
    """Which of the `free` segments (rising) a worker should take, so that it rarely has to go elsewhere in the clip.

    The one after its last; else the beginning of a stretch that no other worker is about to go on with; else the
    middle of the longest stretch.
    """
    following = cursors.get(worker, -1) + 1
    if following in free:
        return following
    stretches: list[list[int]] = []
    for index in free:
        if stretches and stretches[-1][-1] == index - 1:
            stretches[-1].append(index)
        else:
            stretches.append([index])
    tended = {cursor + 1 for cursor in cursors.values()}
    untended = [stretch for stretch in stretches if stretch[0] not in tended]
    if untended:
        return untended[0][0]
    longest = max(stretches, key=len)
    return longest[len(longest) // 2]
