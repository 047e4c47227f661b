"""What a run tells: progress while it goes on, and a report at its end."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class StageTime:
    """Seconds that one stage worked, and waited for its neighbours."""

    spent: float
    waited: float


Stages = dict[str, StageTime]


def bottleneck(stages: Stages) -> str:
    """The stage that worked longest: the others wait for it."""
    return max(stages, key=lambda name: stages[name].spent)


@dataclass(frozen=True)
class Progress:
    """A glimpse of a run.

    frames   finished frames
    total    expected frames, None when the clip does not tell
    fps      finished frames a second since the start of this run
    eta      expected seconds to go, None when unknown
    stages   seconds spent and waited in decode, upscale and encode
    latest   enlarged luma of the newest frame, (H, W) uint8 or uint16; read it at once, it is reused
    """

    frames: int
    total: int | None
    fps: float
    eta: float | None
    stages: Stages
    latest: NDArray[np.unsignedinteger[Any]]


@dataclass(frozen=True)
class VideoReport:
    """What became of a clip.

    width, height   of the result, pixels, as shown upright
    frames          in the result; duration in seconds
    fps             mean frames a second of the result
    seconds         the run took
    stages          seconds spent and waited; the bottleneck is the stage that worked longest
    audio           "copied", "re-encoded" or "none"
    damaged         frames that did not decode and repeat the one before
    resumed         frames taken over from an interrupted run
    notes           everything that a user should know: what was converted, left out, or repaired
    """

    input: str
    output: str
    width: int
    height: int
    scale: int
    backend: str
    reason: str
    encoder: str
    frames: int
    duration: float
    fps: float
    seconds: float
    stages: Stages
    bottleneck: str
    audio: str
    damaged: int = 0
    resumed: int = 0
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)
