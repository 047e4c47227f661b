"""What test_fuzz.py does with one file, in the worker process; each function returns the peak memory in bytes."""

import resource
from pathlib import Path


def open_picture(path: Path, limits) -> int:
    """Read a picture and write it again, as a job of the page does around the network."""
    from espcn_demo.image import read_picture, write_picture

    picture = read_picture(path, limits=limits)
    write_picture(picture, path.with_name("output.png"))
    return _peak()


def open_clip(path: Path, limits) -> int:
    """Read a clip's facts and decode its luma."""
    from espcn_demo.video.facts import read_facts
    from espcn_demo.video.luma import read_luma

    read_facts(path, limits=limits)
    for _ in zip(read_luma(path, limits=limits), range(limits.frames), strict=False):
        pass
    return _peak()


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
