"""Tiles are equal to the whole, byte for byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stand_ins import Nearest

from espcn_demo.backends import open_backend
from espcn_demo.tiling import SIZES, halo_of, spans, upscale_plane
from espcn_demo.upscaler import Chain


@pytest.fixture(scope="module")
def engine(weights):
    return open_backend("torch", weights, "float32")


@pytest.fixture(scope="module")
def luma():
    from skimage.data import camera

    return np.ascontiguousarray(camera()[100:171, 200:289])  # 71 x 89


@settings(deadline=None, max_examples=200)
@given(length=st.integers(1, 9000), halo=st.sampled_from([5, 8]))
def test_spans_cover_an_axis_once(length, halo):
    tiles = spans(length, halo)
    assert [tile.first for tile in tiles] == [0, *(tile.last for tile in tiles[:-1])]
    assert tiles[-1].last == length
    assert len({tile.stop - tile.start for tile in tiles}) == 1
    for tile in tiles:
        assert 0 <= tile.start <= tile.first < tile.last <= tile.stop <= length
        assert tile.start == 0 or tile.first - tile.start >= halo
        assert tile.stop == length or tile.stop - tile.last >= halo


def test_long_axes_use_few_sizes():
    used = {spans(length, 5)[0].stop for length in range(max(SIZES) + 1, 5000)}
    assert used <= set(SIZES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiles_equal_the_whole(engine, luma, dtype):
    plane = luma.astype(dtype) * (1 if dtype is np.uint8 else 256) + luma.astype(dtype)[::-1] // 2
    whole = engine.upscale(plane[None])[0]
    assert whole.std() > 10
    np.testing.assert_array_equal(upscale_plane(engine, plane, sizes=(48, 40)), whole)


def test_tiles_of_a_chain_equal_the_whole(engine, luma):
    chain = Chain([engine, engine])
    whole = chain.upscale(luma[None])[0]
    assert whole.shape == (4 * 71, 4 * 89)
    np.testing.assert_array_equal(upscale_plane(chain, luma, sizes=(48,)), whole)


def test_too_small_a_halo_is_noticed(engine, luma, monkeypatch):
    monkeypatch.setattr("espcn_demo.tiling.HALO", 3)
    assert (upscale_plane(engine, luma, sizes=(40,)) != engine.upscale(luma[None])[0]).any()


def test_halo_of_a_chain():
    assert [halo_of(scale) for scale in (2, 4)] == [5, 8]


@pytest.mark.parametrize("shape", [(1, 1), (1, 4000), (700, 3), (513, 640)])
def test_odd_shapes(shape):
    plane = np.arange(shape[0] * shape[1]).reshape(shape).astype(np.uint8)
    upscaler = Nearest()
    np.testing.assert_array_equal(upscale_plane(upscaler, plane), plane.repeat(2, 0).repeat(2, 1))
    assert len(set(upscaler.shapes)) == 1


def test_progress_ends_with_one():
    seen: list[float] = []
    upscale_plane(Nearest(), np.zeros((90, 90), np.uint8), sizes=(40,), on_progress=seen.append)
    assert seen == sorted(seen) and seen[-1] == 1.0 and len(seen) > 4
