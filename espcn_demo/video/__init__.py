"""Video: every frame enlarged, everything else kept.

    from espcn_demo import upscale_video
    report = upscale_video("in.mp4", "out.mp4", scale=2)
"""

from __future__ import annotations

from .pipeline import Cancelled
from .report import Progress, StageTime, VideoReport
from .upscale import upscale_frames, upscale_video

__all__ = ["Cancelled", "Progress", "StageTime", "VideoReport", "upscale_frames", "upscale_video"]
