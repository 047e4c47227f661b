"""Video: every frame enlarged, everything else kept.

from espcn_demo import upscale_video
report = upscale_video("in.mp4", "out.mp4", scale=2)
"""

from __future__ import annotations

from .pipeline import Cancelled
from .report import Progress, StageTime, VideoReport
from .settings import CONTAINERS as WRITABLE
from .source import READABLE
from .upscale import upscale_frames, upscale_video

__all__ = [
    "READABLE",
    "WRITABLE",
    "Cancelled",
    "Progress",
    "StageTime",
    "VideoReport",
    "upscale_frames",
    "upscale_video",
]
