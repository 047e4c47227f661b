"""Several machines over Ray: segments of clips and pictures of folders made by workers, joined and verified here.

from espcn_demo import cluster
report = cluster.upscale_video("in.mp4", "out.mp4", on="ray://127.0.0.1:6379")
"""

from __future__ import annotations

from espcn_demo.cluster.connect import is_remote
from espcn_demo.cluster.report import ClusterFolderReport, ClusterProgress, ClusterShare, ClusterVideoReport
from espcn_demo.cluster.run import upscale_clips, upscale_pictures, upscale_video

__all__ = [
    "ClusterFolderReport",
    "ClusterProgress",
    "ClusterShare",
    "ClusterVideoReport",
    "is_remote",
    "upscale_clips",
    "upscale_pictures",
    "upscale_video",
]
