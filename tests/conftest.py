"""Fixtures: a real photograph, real clips made from it, the bundled weights, and the shared data where present."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(96, 128, 3) uint8: the face of scikit-image's astronaut."""
    from skimage.data import astronaut

    return np.ascontiguousarray(astronaut()[20:116, 160:288])


@pytest.fixture(scope="session")
def weights():
    from espcn_demo.weights import resolve

    return resolve("espcn_x2")


@pytest.fixture(scope="session")
def network(weights):
    from espcn_demo.weights import load_network

    return load_network(weights)


@pytest.fixture(scope="session")
def data() -> Path:
    """The shared data folder; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("ESPCN_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}: set ESPCN_DATA")
    return folder


@pytest.fixture
def make_clip():
    return write_clip


def write_clip(
    path: Path,
    *,
    frames: int = 12,
    size: tuple[int, int] = (64, 48),
    rate: int = 25,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    audio: bool = True,
) -> Path:
    """A real clip: a window of `size` (width, height) panned over a photograph, with a 440 Hz tone."""
    import av
    from skimage.data import astronaut

    width, height = size
    picture = astronaut()
    with av.open(str(path), "w") as container:
        video = container.add_stream(codec, rate=rate)
        video.width, video.height, video.pix_fmt = width, height, pix_fmt
        sound = container.add_stream("aac", rate=48000) if audio else None
        for index in range(frames):
            y, x = _bounce(40 + index, 512 - height), _bounce(120 + 2 * index, 512 - width)
            window = np.ascontiguousarray(picture[y : y + height, x : x + width])
            container.mux(video.encode(av.VideoFrame.from_ndarray(window, "rgb24")))
        container.mux(video.encode(None))
        if sound is not None:
            _write_tone(container, sound, seconds=frames / rate)
    return path


def _bounce(position: int, end: int) -> int:
    """`position` reflected at 0 and `end`, so that the window never leaves the picture."""
    position %= 2 * end
    return min(position, 2 * end - position)


def _write_tone(container, stream, *, seconds: float) -> None:
    import av

    samples = np.sin(2 * np.pi * 440 / 48000 * np.arange(int(48000 * seconds))).astype(np.float32) * 0.3
    for start in range(0, len(samples), 1024):
        part = np.ascontiguousarray(np.stack([samples[start : start + 1024]] * 2))
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
        frame.sample_rate, frame.pts = 48000, start
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
