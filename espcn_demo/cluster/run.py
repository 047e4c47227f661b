"""What the command line and Python call: a clip, a folder of clips, a folder of pictures, on many workers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType

from espcn_demo.cluster.connect import connected
from espcn_demo.cluster.crew import RayCrew
from espcn_demo.cluster.dispatch import Dispatcher, NoWorkers, Work
from espcn_demo.cluster.job import ClipJob
from espcn_demo.cluster.report import ClusterFolderReport, ClusterVideoReport, Tally
from espcn_demo.cluster.tasks import Setup, WeightsFile
from espcn_demo.cluster.versions import versions
from espcn_demo.cluster.work import Clips, OnProgress, Pictures
from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.video.pipeline import Cancelled

_MOST = 1000  # workers by default


@dataclass(frozen=True)
class Place:
    """Where the work is done and by how many.

    on           "ray" (a cluster of this machine's own) or "ray://HOST:PORT"
    workers      how many; by default as many as the cluster has room for
    worker_cpus  cores of each; worker_gpus  GPUs of each, or a fraction of one
    """

    on: str = "ray"
    workers: int | None = None
    worker_cpus: float = 1.0
    worker_gpus: float = 0.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers must be at least 1, not {self.workers}.")
        if not self.worker_cpus >= 0 or not self.worker_gpus >= 0 or not self.worker_cpus + self.worker_gpus > 0:
            raise InputError("a worker needs a positive number of cores or GPUs.")


def upscale_video(
    path: str | Path,
    out: str | Path,
    *,
    on: str = "ray",
    workers: int | None = None,
    worker_cpus: float = 1.0,
    worker_gpus: float = 0.0,
    scale: int = 2,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
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
) -> ClusterVideoReport:
    """Enlarge a clip on the workers of a cluster; the frames equal those of `espcn_demo.video.upscale_video`.

    See Place for the first four options and `espcn_demo.video.upscale_video` for the others.

    Raises:
        InputError: the clip, the options, the cluster: one sentence says what to do. Finished segments are kept for
            `resume` when workers or machines fail, and removed when the run is cancelled.
    """
    from espcn_demo.video.settings import check_settings
    from espcn_demo.video.upscale import check_output

    path, out = Path(path), Path(out)
    place = Place(on, workers, worker_cpus, worker_gpus)
    setup = _setup(scale, weights, backend, precision, quality, place)
    settings = check_settings(out, codec=codec, crf=crf, preset=preset, start=start, duration=duration)
    check_output(path, out)
    job = ClipJob(0, path, out, settings, setup=setup, limits=limits)
    tally = Tally()
    clips = Clips([(path, out)], tally, _never, resume, alone=True, on_progress=on_progress)
    clips.add(job)
    with _kept(clips):
        _run(place, setup, clips, tally, cancelled)
    return replace(clips.reports[0], cluster=tally.share())


def upscale_clips(
    source: str | Path,
    out: str | Path,
    *,
    on: str = "ray",
    workers: int | None = None,
    worker_cpus: float = 1.0,
    worker_gpus: float = 0.0,
    scale: int = 2,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
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
) -> ClusterFolderReport:
    """Enlarge every clip under `source` into the same place under `out`; a bad clip is reported and passed over.

    Raises:
        InputError: the folders, the options, the cluster: one sentence says what to do.
    """
    from espcn_demo.folder import pair_up
    from espcn_demo.video import READABLE, WRITABLE
    from espcn_demo.video.settings import check_settings

    begin = time.perf_counter()
    source, out = Path(source), Path(out)
    place = Place(on, workers, worker_cpus, worker_gpus)
    setup = _setup(scale, weights, backend, precision, quality, place)
    pairs, skipped = pair_up(source, out, readable=READABLE, writable=WRITABLE, fallback=".mp4")

    def open_job(number: int, path: Path, target: Path) -> ClipJob:
        settings = check_settings(target, codec=codec, crf=crf, preset=preset, start=start, duration=duration)
        return ClipJob(number, path, target, settings, setup=setup, limits=limits)

    tally = Tally()
    clips = Clips(pairs, tally, open_job, resume, alone=False, on_progress=on_progress)
    with _kept(clips):
        _run(place, setup, clips, tally, cancelled)
    return _folder_report(source, out, clips, skipped, begin, tally)


def upscale_pictures(
    source: str | Path,
    out: str | Path,
    *,
    on: str = "ray",
    workers: int | None = None,
    worker_cpus: float = 1.0,
    worker_gpus: float = 0.0,
    scale: int = 2,
    weights: str | None = None,
    backend: str = "auto",
    precision: str | None = None,
    quality: str = "fast",
    strip_location: bool = False,
    limits: Limits | None = None,
    on_file: Callable[[int, int, Path], None] | None = None,
    cancelled: threading.Event | None = None,
) -> ClusterFolderReport:
    """Enlarge every picture under `source` into the same place under `out`; a bad one is reported and passed over.

    Raises:
        InputError: the folders, the options, the cluster: one sentence says what to do.
    """
    from espcn_demo.folder import pair_up
    from espcn_demo.image import READABLE, WRITABLE

    begin = time.perf_counter()
    source, out = Path(source), Path(out)
    place = Place(on, workers, worker_cpus, worker_gpus)
    setup = _setup(scale, weights, backend, precision, quality, place)
    pairs, skipped = pair_up(source, out, readable=READABLE, writable=WRITABLE, fallback=".png")
    tally = Tally()
    pictures = Pictures(pairs, strip_location, limits, on_file)
    _run(place, setup, pictures, tally, cancelled)
    return _folder_report(source, out, pictures, skipped, begin, tally)


def _run(place: Place, setup: Setup, work: Work, tally: Tally, cancelled: threading.Event | None) -> None:
    with connected(place.on) as ray:
        count = _room(ray, place)
        with RayCrew(setup, cpus=place.worker_cpus, gpus=place.worker_gpus) as crew:
            Dispatcher(crew, work, tally, workers=count, cancelled=cancelled).run()


def _room(ray: ModuleType, place: Place) -> int:
    """How many workers to start.

    Raises:
        InputError: no machine of the cluster has what one worker needs.
    """
    needs = {"CPU": place.worker_cpus, "GPU": place.worker_gpus}
    room = 0
    for node in ray.nodes():
        if node["Alive"]:
            has = node["Resources"]
            room += min(int(has.get(name, 0) / need + 1e-9) for name, need in needs.items() if need)
    if not room:
        wanted = " and ".join(f"{need:g} {name}" for name, need in needs.items() if need)
        raise InputError(f"no machine of the cluster has {wanted} for a worker: ask for less, or add machines.")
    return min(place.workers or room, room, _MOST)


@contextmanager
def _kept(clips: Clips) -> Iterator[None]:
    """Finished segments are kept when the machines fail, and removed when the user stops the run."""
    try:
        yield
    except NoWorkers as error:
        kept = clips.kept
        clips.close(remove=False)
        end = "; what is finished was kept, run again with --resume." if kept else "."
        raise NoWorkers(str(error).rstrip(".") + end) from error
    except InputError as error:
        clips.close(remove=isinstance(error, Cancelled))
        raise
    except BaseException:
        clips.close(remove=True)
        raise
    clips.close(remove=False)


def _setup(scale: int, weights: str | None, backend: str, precision: str | None, quality: str, place: Place) -> Setup:
    from espcn_demo.weights import bundled, folder, resolve

    if scale not in (2, 4):
        raise InputError(f"scale {scale} is not offered: use 2 or 4.")
    found = resolve(weights)
    if found.path.parent == folder() and found.name in bundled():
        file = WeightsFile(found.name, found.sha256)
    else:
        card = found.path.with_suffix(".json")
        file = WeightsFile(found.name, found.sha256, found.path.read_bytes(), card.read_bytes())
    return Setup(scale, file, backend, precision, quality, place.worker_cpus, versions())


def _folder_report(
    source: Path, out: Path, work: Clips | Pictures, skipped: int, begin: float, tally: Tally
) -> ClusterFolderReport:
    return ClusterFolderReport(
        input=str(source),
        output=str(out),
        done=tuple(work.reports),
        failed=tuple(work.failures),
        skipped=skipped,
        seconds=time.perf_counter() - begin,
        cluster=tally.share(),
    )


def _never(number: int, path: Path, out: Path) -> ClipJob:
    raise AssertionError("the only clip was opened before")
