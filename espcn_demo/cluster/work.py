"""The tasks of a run: segments of one clip or of a folder of clips, and pictures of a folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from espcn_demo.cluster.job import ClipJob
from espcn_demo.cluster.report import ClusterProgress, ClusterVideoReport, Tally
from espcn_demo.cluster.sources import describe
from espcn_demo.cluster.tasks import Enlarged, Made, PictureTask, Piece, Refused, Result, Task
from espcn_demo.errors import InputError
from espcn_demo.files import written_beside
from espcn_demo.folder import Failure, make_folder
from espcn_demo.image import ImageReport
from espcn_demo.limits import GENEROUS, Limits

OPEN = 4  # clips of a folder that are worked on at the same time

Pairs = Sequence[tuple[Path, Path]]
OnProgress = Callable[[ClusterProgress], None]


@dataclass
class Clips:
    """Clips one after the other; the next begins when all segments of those before are handed out.

    open_job   opens a clip by number, source and result; raises InputError when it cannot be used
    alone      a single clip: what is wrong with it ends the run; in a folder it is noted and passed over
    """

    pairs: Pairs
    tally: Tally
    open_job: Callable[[int, Path, Path], ClipJob]
    resume: bool
    alone: bool
    on_progress: OnProgress | None = None
    reports: list[ClusterVideoReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _jobs: dict[int, ClipJob] = field(default_factory=dict)
    _opened: int = 0
    _begin: float | None = None  # when the first worker took a segment
    _before: int = 0  # frames of clips that are finished

    @property
    def done(self) -> bool:
        """Whether every clip is finished or given up."""
        return self._opened == len(self.pairs) and not self._jobs

    def add(self, job: ClipJob) -> None:
        """Take a clip that was opened beforehand, the next of `pairs`."""
        self._jobs[self._opened] = job
        self._opened += 1

    def next(self, worker: int) -> Task | None:
        """The next segment, of the earliest clip that has one."""
        self._begin = self._begin or time.perf_counter()
        while True:
            for number, job in list(self._jobs.items()):
                try:
                    if not job.started:
                        job.start(self.tally, resume=self.resume)
                    piece = None if job.complete else job.next(worker)
                except InputError as error:
                    self._fail(number, str(error))
                    continue
                except OSError as error:
                    self._fail(number, _unwritten(job, error))
                    continue
                if piece is not None:
                    return piece
                if job.complete:
                    self._finish(number)
            if len(self._jobs) >= OPEN or self._opened == len(self.pairs):
                return None
            self._open()

    def finish(self, task: Task, result: Result, data: bytes) -> bool:
        """Put a segment on its shelf; the last one completes the clip."""
        assert isinstance(task, Piece) and isinstance(result, Made)
        job = self._jobs.get(task.job)
        if job is None:  # given up meanwhile
            return False
        try:
            job.add(task, result, data)
        except OSError as error:
            self._fail(task.job, _unwritten(job, error))
            return True
        self.tell()
        if not job.complete:
            return False
        self._finish(task.job)
        return True

    def give_up(self, task: Task, reason: str) -> None:
        """End a clip, keeping what is finished."""
        self._fail(task.key[0], f"{reason}; what is finished was kept, run again with --resume.")

    def tell(self) -> None:
        """Report progress."""
        if self.on_progress is None or not self._jobs:
            return
        jobs = list(self._jobs.values())
        frames = self._before + sum(job.frames for job in jobs)
        fresh = frames - sum(job.resumed for job in jobs)
        fps = fresh / max(1e-6, time.perf_counter() - (self._begin or 0.0))
        totals = [job.total for job in jobs]
        total = self._before + sum(one or 0 for one in totals) if self.alone and all(totals) else None
        eta = max(0, total - frames) / fps if total and fps > 0 else None
        stages = jobs[0].stages
        nothing = np.zeros((0, 0), np.uint8)  # no worker sends its picture along
        share = self.tally.share()
        self.on_progress(ClusterProgress(frames, total, fps, eta, stages, nothing, share))

    def close(self, *, remove: bool) -> None:
        """Close what is open; `remove` what is unfinished, or keep it for a run that resumes."""
        for job in self._jobs.values():
            job.close(keep=not remove)
        self._jobs.clear()

    @property
    def kept(self) -> bool:
        """Whether there is something to resume."""
        return any(job.frames for job in self._jobs.values())

    def _open(self) -> None:
        number, (path, out) = self._opened, self.pairs[self._opened]
        self._opened += 1
        try:
            make_folder(out.parent)
            self._jobs[number] = self.open_job(number, path, out)
        except InputError as error:
            self._fail(number, str(error))

    def _finish(self, number: int) -> None:
        job = self._jobs[number]
        try:
            self.reports.append(job.finish(self.tally))
        except InputError as error:
            self._jobs.pop(number).close(keep=False)
            self._fail(number, str(error))
            return
        except OSError as error:
            self._fail(number, _unwritten(job, error))
            return
        self._before += job.frames
        self._jobs.pop(number).close(keep=False)

    def _fail(self, number: int, sentence: str) -> None:
        job = self._jobs.pop(number, None)
        if job is not None:
            job.close(keep=True)
        if self.alone:
            raise InputError(sentence)
        self.failures.append(Failure(str(self.pairs[number][0]), sentence))


def _unwritten(job: ClipJob, error: OSError) -> str:
    return f"{job.out.name} cannot be written: {error.strerror or error}."


@dataclass
class Pictures:
    """Pictures of a folder, each one task."""

    pairs: Pairs
    strip_location: bool
    limits: Limits | None
    on_file: Callable[[int, int, Path], None] | None = None
    reports: list[ImageReport] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    _handed: int = 0

    @property
    def done(self) -> bool:
        """Whether every picture is there or has failed."""
        return len(self.reports) + len(self.failures) == len(self.pairs)

    def next(self, worker: int) -> Task | None:
        """The next picture."""
        while self._handed < len(self.pairs):
            number, (path, out) = self._handed, self.pairs[self._handed]
            self._handed += 1
            try:
                make_folder(out.parent)
                source = describe(path)
            except InputError as error:
                self.failures.append(Failure(str(path), str(error)))
                continue
            except OSError as error:
                self.failures.append(Failure(str(path), f"{path.name} cannot be read: {error.strerror or error}."))
                continue
            return PictureTask(number, source, str(out), self.strip_location, self.limits or GENEROUS)
        return None

    def finish(self, task: Task, result: Result, data: bytes) -> bool:
        """Write a picture under its name."""
        number, (path, out) = task.key[0], self.pairs[task.key[0]]
        if self.on_file is not None:
            self.on_file(len(self.reports) + len(self.failures) + 1, len(self.pairs), path)
        if isinstance(result, Refused):
            self.failures.append(Failure(str(path), result.sentence))
            return True
        assert isinstance(result, Enlarged), number
        try:
            with written_beside(out) as beside:
                beside.write_bytes(data)
        except InputError as error:
            self.failures.append(Failure(str(path), str(error)))
        else:
            self.reports.append(result.report)
        return True

    def give_up(self, task: Task, reason: str) -> None:
        """Note a picture that no worker could make."""
        self.failures.append(Failure(str(self.pairs[task.key[0]][0]), f"{reason}."))
