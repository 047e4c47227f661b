"""Where chroma samples lie between luma samples: read from a clip, followed through a turn.

PyAV shows the location nowhere but in FFmpeg's own description of a container, and there only at a talkative level.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

# Position of the chroma sample in a square of four luma samples: right, down; halves are between two of them.
LOCATIONS = {
    "left": (0.0, 0.5),
    "center": (0.5, 0.5),
    "topleft": (0.0, 0.0),
    "top": (0.5, 0.0),
    "bottomleft": (0.0, 1.0),
    "bottom": (0.5, 1.0),
}
_LEVELS = threading.Lock()  # the level of FFmpeg's log belongs to the whole process


def chroma_location(container: InputContainer, stream: VideoStream) -> str:
    """One of LOCATIONS, or "" when the clip does not tell."""
    import av.logging as log

    with _LEVELS:
        level = log.get_level()
        log.set_level(log.VERBOSE)
        log.set_libav_level(log.VERBOSE)
        try:
            lines = container.dumps_format().splitlines()  # type: ignore[attr-defined]  # its stub leaves it out
        finally:
            log.set_libav_level(log.INFO)
            log.set_level(level)
    mine = [line for line in lines if re.match(rf"\s*Stream #\d+:{stream.index}\b.*Video:", line)]
    words = re.findall(r"[(,] ?(\w+)(?=[,)])", mine[0]) if mine else []
    return next((word for word in words if word in LOCATIONS), "")


def turn_location(location: str, signs: tuple[int, int, int, int]) -> str:
    """The location after a turn by the signs (a, b, c, d) of a display matrix; "" when no name fits."""
    if location not in LOCATIONS:
        return ""
    x, y = LOCATIONS[location]
    a, b, c, d = signs
    turned = (_along(a, x, c, y), _along(b, x, d, y))
    return next((name for name, place in LOCATIONS.items() if place == turned), "")


def _along(first: int, x: float, second: int, y: float) -> float:
    sign, value = (first, x) if first else (second, y)
    return value if sign > 0 else 1.0 - value
