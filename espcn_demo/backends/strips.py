"""How `fused` divides frames among a GPU's programs: strips of columns, in segments of rows where these are too few."""

from __future__ import annotations

from dataclasses import dataclass

PIXELS = 128  # columns that every layer computes of a strip: two warpgroups of matrix products
VALID = PIXELS - 6  # columns of the result: each 3x3 layer loses one at each side
ROW = PIXELS + 8  # columns of a row of features in memory: the last product reads two beyond
SCRATCH = 2 * ROW * (64 + 64 + 32)  # float16 values of a program: two rows of each hidden layer
_WARM_UP = 9  # rows that a segment computes besides its own: three layers of two, and three steps of delay
_START = 6  # rows that could be computed while a program fetches the kernels; estimated


@dataclass(frozen=True)
class Strips:
    """A division: `across` strips, `pitch` columns apart, each in `down` segments of `rows` rows."""

    across: int
    pitch: int
    down: int
    rows: int

    @property
    def stride(self) -> int:
        """Columns of a padded row of codes; programs load in groups of 16."""
        return _rounded((self.across - 1) * self.pitch + PIXELS + 6, 16)


def divide(count: int, height: int, width: int, processors: int) -> Strips:
    """The division of `count` frames with the least work for the busiest of a GPU's `processors`."""
    across = -(-width // VALID)
    pitch = _rounded(-(-width // across), 2)

    def cost(down: int) -> int:
        turns = -(-count * across * down // processors)
        return turns * (-(-height // down) + _WARM_UP + _START)

    down = min(range(1, min(height, processors) + 1), key=cost)
    rows = -(-height // down)
    return Strips(across, pitch, -(-height // rows), rows)


def _rounded(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
