"""Still scenes cost less and give the same bytes."""

import numpy as np
import pytest
import torch

from espcn_demo.video import upscale_video
from espcn_demo.video.still import Stills
from tests.clips import photo_frame, plane, write
from tests.stand_ins import Nearest


class Blurring:
    """A stand-in with the network's reach: every output sees 5 rows around it."""

    name, reason, refusals, scale = "blurring", "", (), 2

    def __init__(self):
        self.rows = 0

    def upscale(self, frames, *, white=None):
        self.rows += frames.shape[0] * frames.shape[1]
        values = torch.from_numpy(frames.astype(np.float32))[:, None]
        blurred = torch.nn.functional.avg_pool2d(values, 11, 1, 5)[:, 0].round().numpy().astype(frames.dtype)
        return blurred.repeat(2, 1).repeat(2, 2)


def scene(count=40, height=128, width=96):
    """Still, then a line of text that grows, then still, then all in motion."""
    random = np.random.default_rng(3)
    frames = np.repeat(random.integers(0, 256, (1, height, width), np.uint8), count, 0)
    for index in range(8, 24):
        frames[index:, 40:46, 4 * index - 30 : 4 * index - 24] = 200
    if count > 30:
        frames[30:] = random.integers(0, 256, (count - 30, height, width), np.uint8)
    return frames


@pytest.mark.parametrize("batch", [pytest.param(1, marks=pytest.mark.slow), 3, 8])
@pytest.mark.parametrize("bands", [True, False])
def test_same_bytes_for_less_work(batch, bands):
    frames, engine = scene(), Blurring()
    stills = Stills(engine, bands=bands)
    parts = [stills.upscale(frames[at : at + batch], white=255) for at in range(0, len(frames), batch)]
    assert np.array_equal(np.concatenate(parts), Blurring().upscale(frames))
    assert stills.computed + stills.reused + stills.banded == len(frames)
    assert stills.reused >= 10 and (stills.banded >= 10) == bands
    assert engine.rows < len(frames) * 128 * 0.75


def test_two_planes_a_frame():
    frames = scene().repeat(2, 0)
    frames[1::2] = 255 - frames[1::2]
    stills = Stills(Blurring(), step=2)
    parts = [stills.upscale(frames[at : at + 6], white=255) for at in range(0, len(frames), 6)]
    assert np.array_equal(np.concatenate(parts), Blurring().upscale(frames))


def test_an_engine_that_computes_parts_differently_is_left_whole():
    class Uneven(Blurring):
        def upscale(self, frames, *, white=None):
            return super().upscale(frames) ^ np.uint8(frames.shape[1] < 128)

    frames, stills = scene(), Stills(Uneven())
    parts = [stills.upscale(frames[at : at + 4], white=255) for at in range(0, len(frames), 4)]
    assert np.array_equal(np.concatenate(parts), Uneven().upscale(frames))
    assert stills.banded == 1


@pytest.mark.slow
def test_the_network_itself_gives_the_same_bytes(network):
    from espcn_demo.model import CodeValues

    class Engine:
        name, reason, refusals, scale = "torch", "", (), 2

        def upscale(self, frames, *, white=None):
            with torch.inference_mode():
                return CodeValues(network)(torch.from_numpy(frames)[:, None])[:, 0].numpy()

    frames = scene(24, 96, 64)
    stills = Stills(Engine())
    parts = [stills.upscale(frames[at : at + 4], white=255) for at in range(0, len(frames), 4)]
    assert np.array_equal(np.concatenate(parts), Engine().upscale(frames))
    assert stills.reused >= 5


def test_a_still_clip_is_computed_once(tmp_path):
    frame = photo_frame(0)
    source = write(tmp_path / "in.mkv", [frame] * 30, codec="ffv1", options={"level": "1"})
    engine = Nearest()
    report = upscale_video(source, tmp_path / "out.mp4", upscaler=engine)
    assert report.frames == 30 and sum(shape[0] for shape in engine.shapes) < 10
    assert plane(frame, 0).shape == (48, 64)
