"""Examples that need no network: scikit-image's bundled photographs, and a clip that moves over one of them."""

from __future__ import annotations

import shutil
from base64 import b64encode
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from ..errors import InputError

# What the page calls them -> files inside the installed scikit-image.
PICTURES = {
    "Astronaut": "astronaut.png",
    "Cat": "chelsea.png",
    "Coffee": "coffee.png",
    "Motorcycle": "motorcycle_left.png",
}
CLIP_SIZE, CLIP_RATE, CLIP_FRAMES = (320, 240), 25, 75
THUMBNAIL = 120  # pixels, for screens of double density


def picture(name: str, folder: Path) -> Path:
    """A copy of an example's file under its own name; made once for each server."""
    target = folder / "examples" / PICTURES[name]
    if not target.exists():
        target.parent.mkdir(exist_ok=True)
        shutil.copyfile(_data() / PICTURES[name], target)
    return target


def thumbnails() -> dict[str, str]:
    """Each example's name and a small JPEG of it as a data: address."""
    from PIL import Image, ImageOps

    made = {}
    for name, file in PICTURES.items():
        with Image.open(_data() / file) as image:
            small = ImageOps.fit(image.convert("RGB"), (THUMBNAIL, THUMBNAIL))
        packed = BytesIO()
        small.save(packed, "JPEG", quality=80)
        made[name] = "data:image/jpeg;base64," + b64encode(packed.getvalue()).decode("ascii")
    return made


def clip(folder: Path) -> Path:
    """Three seconds in which a window moves over the photograph of a coffee cup; made once for each server."""
    import av
    import numpy as np
    from PIL import Image

    target = folder / "examples" / "coffee.mp4"
    if target.exists():
        return target
    target.parent.mkdir(exist_ok=True)
    width, height = CLIP_SIZE
    with Image.open(_data() / PICTURES["Coffee"]) as image:
        photograph = np.asarray(image.convert("RGB"))
    room_x, room_y = photograph.shape[1] - width, photograph.shape[0] - height
    part = target.with_suffix(".part.mp4")
    with av.open(str(part), "w", options={"movflags": "+faststart"}) as container:
        stream = container.add_stream("libx264", rate=CLIP_RATE, options={"crf": "17", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(CLIP_FRAMES):
            way = index / (CLIP_FRAMES - 1)
            x, y = round(way * room_x), round(way * (1 - way) * 2 * room_y)
            window = np.ascontiguousarray(photograph[y : y + height, x : x + width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(window, "rgb24")))
        container.mux(stream.encode(None))
    return part.replace(target)


def _data() -> Path:
    """The folder of scikit-image's bundled files, found without importing it."""
    spec = find_spec("skimage")
    if spec is None or spec.origin is None:
        raise InputError("The examples need scikit-image: install it, or upload a file of your own.")
    return Path(spec.origin).parent / "data"
