"""The network's dimensions and what follows from them; without torch, which is slow to import."""

from __future__ import annotations

from dataclasses import asdict, dataclass

SCALE = 2
HALO = 5  # low-resolution pixels: (5 + 3 + 3 + 3 - 4) / 2, half of the 11x11 receptive field
PARAMETERS = 58_212
MULTIPLY_ADDS = 58_048  # per low-resolution pixel
FLOP_PER_PIXEL = 2 * MULTIPLY_ADDS


@dataclass(frozen=True)
class Dimensions:
    """Channels and kernel sizes of the four convolutions, in order."""

    channels: tuple[int, ...] = (1, 64, 64, 32, SCALE * SCALE)
    kernels: tuple[int, ...] = (5, 3, 3, 3)

    def as_dict(self) -> dict[str, tuple[int, ...]]:
        """The dimensions as plain values, for a JSON file."""
        return asdict(self)


DIMENSIONS = Dimensions()
