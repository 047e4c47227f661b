"""Measured honestly, and a plain enlargement compared with bicubic only."""

from __future__ import annotations

import json

import numpy as np
import pytest
from stand_ins import Nearest

from espcn_demo.backends import open_backend
from espcn_demo.errors import InputError
from espcn_demo.image import Picture, difference_from_bicubic, measure_picture, measure_plane, upscale_picture
from espcn_demo.planes import luma_of


def test_every_method_starts_from_the_same_shrunk_plane(photo):
    luma = luma_of(photo)[:95, :127]
    found = measure_plane(luma, Nearest())
    assert [score.method for score in found.scores] == ["network", "bicubic", "lanczos", "bilinear", "nearest"]
    assert found.original.shape == (94, 126) and found.shrunk.shape == (47, 63)
    assert all(plane.shape == (94, 126) and plane.dtype == np.uint8 for plane in found.planes.values())
    # the stand-in repeats pixels, so its row must equal that of "nearest"
    assert found.score().psnr == found.score("nearest").psnr < found.score("bicubic").psnr
    assert found.gain == pytest.approx(found.score().psnr - found.score("bicubic").psnr)
    assert "border of 2 pixels" in found.protocol and "middle" not in found.protocol
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_network_beats_interpolation(photo, weights):
    found = measure_picture(Picture(photo), open_backend("torch", weights, "float32"))
    assert found.gain > 0.5
    assert found.score().ssim == max(score.ssim for score in found.scores)


def test_sixteen_bits_and_four_times(photo):
    deep = luma_of(photo).astype(np.uint16) * 257
    found = measure_plane(deep, Nearest(4))
    eight = measure_plane(luma_of(photo), Nearest(4))
    assert found.shrunk.shape == (24, 32) and "shrunk by 4" in found.protocol
    assert found.score("bicubic").psnr == pytest.approx(eight.score("bicubic").psnr, abs=0.05)


def test_only_the_middle_of_a_large_plane(photo):
    found = measure_plane(luma_of(photo), Nearest(), largest=3000)
    assert 2000 < found.original.size <= 3000 and "middle" in found.protocol


def test_flat_planes_have_no_gain_and_valid_json():
    found = measure_plane(np.full((32, 32), 77, np.uint8), Nearest())
    assert found.gain == 0.0 and found.score().psnr == float("inf")
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("shape", [(1, 1), (15, 400), (4000, 1)])
def test_too_small_to_measure(shape):
    with pytest.raises(InputError, match="16 pixels a side"):
        measure_plane(np.zeros(shape, np.uint8), Nearest())


def test_difference_from_bicubic(photo):
    source = Picture(photo)
    assert 20 < difference_from_bicubic(source, upscale_picture(source, Nearest())) < 50
    flat = Picture(np.full((20, 20, 3), 9, np.uint8))
    assert difference_from_bicubic(flat, upscale_picture(flat, Nearest())) == float("inf")
