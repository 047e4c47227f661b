"""What one piece of work may cost: generous on the command line, tight on a page that strangers use.

Every field has an environment variable: ESPCN_ and its name in capitals (`pixels` -> ESPCN_PIXELS). The page reads
them with `Limits.from_environment()`; the command line uses `GENEROUS`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

from .errors import InputError

PREFIX = "ESPCN_"
MEBI = 2**20
GIBI = 2**30


@dataclass(frozen=True)
class Limits:
    """The largest input that is accepted and the room that work may take; the defaults are those of the page.

    bytes              size of one uploaded or opened file, bytes
    pixels             width times height of a picture or of one video frame, before enlarging
    seconds            length of the part of a clip that is worked on, seconds
    frames             number of video frames that are worked on
    streams            video, audio, subtitle and other streams in one clip
    files              pictures in one go (a gallery)
    queue              jobs that wait for the engine; the next one is refused with a sentence
    jobs_per_visitor   jobs that one visitor may have waiting or running
    job_seconds        wall-clock time after which a job is stopped, seconds
    memory             address space that an isolated job may add to its own start, bytes
    disk               total size of the files that the page keeps, bytes
    disk_reserve       room on the disk that is never touched, bytes
    retention_seconds  how long results stay on the server, seconds
    """

    bytes: int = 200 * MEBI
    pixels: int = 40_000_000
    seconds: float = 120.0
    frames: int = 7_200
    streams: int = 32
    files: int = 20
    queue: int = 40
    jobs_per_visitor: int = 3
    job_seconds: float = 1_800.0
    memory: int = 6 * GIBI
    disk: int = 8 * GIBI
    disk_reserve: int = 512 * MEBI
    retention_seconds: float = 3_600.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not value > 0:  # also refuses NaN
                raise InputError(f"{variable(field.name)} must be greater than zero, not {value}.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Limits:
        """The page's limits: the defaults, each replaced by its ESPCN_... variable when that is set and not empty.

        Raises:
            InputError: a variable does not hold a positive number.
        """
        environment = os.environ if environment is None else environment
        given: dict[str, int | float] = {}
        for field in fields(cls):
            text = environment.get(variable(field.name), "").strip()
            if text:
                given[field.name] = _number(field.name, text, whole=field.type == "int")
        return cls(**given)  # type: ignore[arg-type]  # _number gives each field its own type

    def as_dict(self) -> dict[str, int | float]:
        """The limits as plain values, for JSON and for the About tab."""
        return asdict(self)


def variable(field: str) -> str:
    """The environment variable of a field: 'retention_seconds' -> 'ESPCN_RETENTION_SECONDS'."""
    return PREFIX + field.upper()


def markdown() -> str:
    """The page's limits as a table for README.md: variable, default, meaning."""
    lines = (Limits.__doc__ or "").splitlines()
    meanings = dict(line.split(None, 1) for line in lines if line.startswith("    ") and line.strip())
    rows = [f"| {variable(name)} | {value:,} | {meanings[name]} |" for name, value in Limits().as_dict().items()]
    return "\n".join(["| variable | default | what it limits |", "|---|---|---|", *rows])


def _number(field: str, text: str, *, whole: bool) -> int | float:
    try:
        return int(text) if whole else float(text)
    except ValueError as error:
        kind = "a whole number" if whole else "a number"
        raise InputError(f"{variable(field)} must be {kind}, not {text[:40]!r}.") from error


# One's own files on one's own machine: only what would exhaust the machine is refused.
GENEROUS = Limits(
    bytes=1024 * GIBI,
    pixels=500_000_000,
    seconds=7 * 24 * 3_600.0,
    frames=40_000_000,
    streams=256,
    files=100_000,
    queue=1_000,
    jobs_per_visitor=1_000,
    job_seconds=30 * 24 * 3_600.0,
    memory=64 * GIBI,
    disk=1024 * GIBI,
    retention_seconds=30 * 24 * 3_600.0,
)

if __name__ == "__main__":
    print(markdown())
