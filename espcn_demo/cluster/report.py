"""What a run on several machines tells beyond one on a single machine."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, field
from typing import Any

from espcn_demo.cluster.tasks import Enlarged, Facts, Made, Result
from espcn_demo.folder import FolderReport
from espcn_demo.video.report import Progress, VideoReport


@dataclass(frozen=True)
class Retry:
    """A task that was given to another worker, and why."""

    task: str
    node: str
    reason: str


@dataclass(frozen=True)
class NodeShare:
    """What one machine did.

    frames          made there; pictures of a folder count as one each
    tasks           segments or pictures
    busy            seconds its workers worked
    bytes           that it sent to the head
    per_second      frames for each busy second of one worker
    """

    node: str
    tasks: int
    frames: int
    busy: float
    bytes: int
    per_second: float


@dataclass(frozen=True)
class ClusterShare:
    """How a run was spread.

    workers  that took part, the replaced ones included
    seconds  from the first worker's being ready to the last result
    sources  "shared path", or "object store" when some machine could not read the path
    """

    workers: int
    seconds: float
    engine: str
    sources: str
    nodes: tuple[NodeShare, ...]
    retries: tuple[Retry, ...]
    notes: tuple[str, ...]


NOTHING = ClusterShare(0, 0.0, "", "", (), (), ())


@dataclass(frozen=True)
class ClusterProgress(Progress):
    """A glimpse of a run on several machines: frames count when their segment is finished; `latest` is empty."""

    cluster: ClusterShare = NOTHING


@dataclass(frozen=True)
class ClusterVideoReport(VideoReport):
    """The report of a clip and how it was spread; `stages` are sums over all workers."""

    cluster: ClusterShare = NOTHING


@dataclass(frozen=True)
class ClusterFolderReport(FolderReport):
    """The report of a folder and how it was spread."""

    cluster: ClusterShare = NOTHING

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {**super().as_dict(), "cluster": asdict(self.cluster)}


@dataclass
class _Count:
    tasks: int = 0
    frames: int = 0
    busy: float = 0.0
    bytes: int = 0


@dataclass
class Tally:
    """Counts while a run goes on."""

    engine: str = ""
    reason: str = ""
    workers: int = 0
    frames: int = 0
    begin: float = 0.0
    last: float = 0.0
    blind: set[str] = field(default_factory=set)  # machines that cannot read the head's paths
    retries: list[Retry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    nodes: dict[str, _Count] = field(default_factory=dict)
    people: list[Facts] = field(default_factory=list)

    def accept(self, facts: Facts) -> bool:
        """Whether a new worker may take part: all must run the engine of the first, or frames would differ."""
        if not self.engine:
            self.engine, self.reason = facts.engine, facts.reason
        if facts.engine != self.engine:
            self.note(f"{facts.node} runs {facts.engine} instead of {self.engine} and was left out: choose a backend")
            return False
        if not self.workers:
            self.begin = self.last = time.perf_counter()
        self.workers += 1
        self.people.append(facts)
        self.nodes.setdefault(facts.node, _Count())
        return True

    def unseen(self, node: str, reason: str) -> None:
        """Remember that a machine needs sources sent."""
        if node not in self.blind:
            self.blind.add(node)
            self.note(f"{reason}: its sources go through Ray's object store")

    def note(self, sentence: str) -> None:
        """Remember a sentence once."""
        if sentence not in self.notes:
            self.notes.append(sentence)

    def count(self, node: str, result: Result, size: int) -> None:
        """Add a finished task."""
        count = self.nodes[node]
        count.tasks += 1
        self.last = time.perf_counter()
        count.bytes += size
        if isinstance(result, Made | Enlarged):
            count.frames += result.frames
            count.busy += result.seconds
            self.frames += result.frames

    def share(self) -> ClusterShare:
        """What there is to tell."""
        nodes = tuple(
            NodeShare(
                name, one.tasks, one.frames, round(one.busy, 3), one.bytes, round(one.frames / max(one.busy, 1e-9), 3)
            )
            for name, one in sorted(self.nodes.items())
        )
        sources = "object store" if self.blind else "shared path"
        seconds = round(self.last - self.begin, 3)
        return ClusterShare(self.workers, seconds, self.engine, sources, nodes, tuple(self.retries), tuple(self.notes))
