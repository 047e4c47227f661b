"""What travels between the head and its workers: sources, tasks and their results, all plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from espcn_demo.limits import Limits

if TYPE_CHECKING:
    from espcn_demo.cluster.index import Anchor
    from espcn_demo.image import ImageReport
    from espcn_demo.video.decode import Health
    from espcn_demo.video.encode import Encoding
    from espcn_demo.video.report import StageTime
    from espcn_demo.video.segments import Segment
    from espcn_demo.video.settings import Settings


@dataclass(frozen=True)
class WeightsFile:
    """Weights as a worker gets them: by name when they are bundled with the package, else with their content."""

    name: str
    sha256: str
    data: bytes = field(default=b"", repr=False)
    card: bytes = field(default=b"", repr=False)


@dataclass(frozen=True)
class Setup:
    """What every worker of a run is built from.

    cpus      cores that a worker keeps to
    versions  of the libraries that decide about bytes, on the head
    """

    scale: int
    weights: WeightsFile
    backend: str
    precision: str | None
    quality: str
    cpus: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Facts:
    """What a worker says of itself once it is ready."""

    node: str
    host: str
    pid: int
    engine: str
    reason: str


@dataclass(frozen=True)
class Source:
    """A file on the head: where it lies, what tells it from another (`video.segments.identity`), and its content.

    parts  references to its content in Ray's object store, empty as long as every worker reads the path itself
    """

    path: str
    identity: Mapping[str, Any]
    parts: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Unseen:
    """A worker's answer when it cannot read a source by its path; `reason` is a sentence without full stop."""

    reason: str


@dataclass(frozen=True)
class Refused:
    """A worker's answer when the input is bad: trying again elsewhere would not help."""

    sentence: str


@dataclass(frozen=True)
class Piece:
    """One closed segment of a clip to be made: frames `index * frames` up to `(index + 1) * frames`.

    job       number of the clip within the run
    encoding  the head's decision, so that all segments fit together
    anchor    where it lies in the clip, None when that must be found by reading from the beginning
    """

    job: int
    source: Source
    settings: Settings
    encoding: Encoding
    limits: Limits
    index: int
    frames: int
    anchor: Anchor | None = None

    @property
    def key(self) -> tuple[int, ...]:
        """Tells tasks of a run apart."""
        return self.job, self.index, int(self.anchor is None)

    @property
    def title(self) -> str:
        """For people."""
        return f"segment {self.index + 1} of {Path(self.source.path).name}"


@dataclass(frozen=True)
class Made:
    """What a worker knows of a segment; its bytes come separately.

    segment      None when the clip has no frame there
    ended        no frame follows
    first, last  mean luma of the source's first and last frame of the segment, as shares of white
    health       of the clip up to here
    notes        what was done to make frames upright and progressive, by kind
    """

    segment: Segment | None
    ended: bool
    first: float | None
    last: float | None
    health: Health
    notes: Mapping[str, str]
    stages: Mapping[str, StageTime]
    seconds: float
    engine: str

    @property
    def frames(self) -> int:
        """Frames in the segment."""
        return 0 if self.segment is None else self.segment.frames


@dataclass(frozen=True)
class PictureTask:
    """One picture of a folder."""

    job: int
    source: Source
    out: str
    strip_location: bool
    limits: Limits

    @property
    def key(self) -> tuple[int, ...]:
        """Tells tasks of a run apart."""
        return (self.job,)

    @property
    def title(self) -> str:
        """For people."""
        return Path(self.source.path).name


@dataclass(frozen=True)
class Enlarged:
    """A picture that a worker has made; its bytes come separately."""

    report: ImageReport
    seconds: float
    engine: str

    @property
    def frames(self) -> int:
        """A picture counts as one."""
        return 1


Task = Piece | PictureTask
Result = Made | Enlarged | Refused | Unseen
