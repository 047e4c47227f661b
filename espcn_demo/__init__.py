"""ESPCN: pictures and video at twice the size, from a network of 58,212 parameters.

    from espcn_demo import upscale_image, upscale_video
    upscale_image("in.png", "out.png")
    upscale_video("in.mp4", "out.mp4", on_progress=print)

Names are imported on first use, so that `import espcn_demo` stays light.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from espcn_demo.errors import InputError
    from espcn_demo.image import upscale_image
    from espcn_demo.upscaler import open_upscaler
    from espcn_demo.video import upscale_frames, upscale_video
    from espcn_demo.video.probe import probe

_HOMES = {
    "InputError": "espcn_demo.errors",
    "open_upscaler": "espcn_demo.upscaler",
    "probe": "espcn_demo.video.probe",
    "upscale_frames": "espcn_demo.video",
    "upscale_image": "espcn_demo.image",
    "upscale_video": "espcn_demo.video",
}
__all__ = ["InputError", "open_upscaler", "probe", "upscale_frames", "upscale_image", "upscale_video"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'espcn_demo' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
