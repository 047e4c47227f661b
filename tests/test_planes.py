"""Colour and transparency around the network."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from espcn_demo import planes
from espcn_demo.planes import add_colour, clamp_matte, fill_hidden, luma_of, over_white, to_depth


def doubled(plane: np.ndarray) -> np.ndarray:
    return plane.repeat(2, 0).repeat(2, 1)


def test_luma_is_full_range_bt601(photo):
    red, green, blue = (photo[..., channel].astype(float) for channel in range(3))
    expected = 0.299 * red + 0.587 * green + 0.114 * blue
    assert np.abs(luma_of(photo) - expected).max() <= 0.51
    deep = to_depth(photo, np.uint16)
    assert np.abs(luma_of(deep) - 257 * expected).max() <= 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_keeps_its_value(dtype):
    white = np.iinfo(dtype).max
    ramp = np.linspace(0, white, 512).astype(dtype)
    colour = np.broadcast_to(ramp[:, None, None], (512, 4, 3))
    np.testing.assert_array_equal(luma_of(colour)[:, 0], ramp)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_flat_colours_stay_exact(dtype):
    rng = np.random.default_rng(1)
    for colour in rng.integers(0, np.iinfo(dtype).max, (20, 3), endpoint=True):
        patch = np.broadcast_to(colour.astype(dtype), (9, 7, 3))
        luma = luma_of(patch)
        result = add_colour(patch, luma, doubled(luma))
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, np.broadcast_to(colour, (18, 14, 3)))


def test_chroma_is_that_of_the_bicubic_enlargement(photo):
    luma = luma_of(photo)
    result = add_colour(photo, luma, doubled(luma))
    chroma = Image.fromarray(photo).convert("YCbCr").resize((256, 192), Image.Resampling.BICUBIC)
    inside = np.asarray(Image.fromarray(result).convert("YCbCr"), int)[..., 1:]
    clipped = ((result == 0) | (result == 255)).any(axis=2)
    difference = np.abs(inside - np.asarray(chroma, int)[..., 1:]).max(axis=2)
    assert difference[~clipped].max() <= 3
    assert difference[~clipped].mean() < 0.7


def test_strips_do_not_show(photo, monkeypatch):
    alpha = photo[..., 1] // 128 * photo[..., 0]
    luma = luma_of(photo)

    def everything():
        return (
            luma_of(photo),
            add_colour(photo, luma, doubled(luma)),
            add_colour(photo, luma, doubled(luma), method="lanczos"),
            clamp_matte(alpha, doubled(alpha)[::-1]),
            over_white(photo, alpha),
            fill_hidden(photo, alpha),
        )

    whole = everything()
    monkeypatch.setattr(planes, "_STRIP", 1)  # 16 rows at a time
    *exact, filled = everything()
    for a, b in zip(whole, exact, strict=False):
        np.testing.assert_array_equal(a, b)
    visible = alpha > 0
    np.testing.assert_array_equal(filled[visible], photo[visible])


def test_hidden_pixels_take_the_nearest_visible_colour():
    colour = np.zeros((20, 20, 3), np.uint8)
    alpha = np.zeros((20, 20), np.uint8)
    colour[8:12, 8:12], alpha[8:12, 8:12] = (200, 100, 50), 255
    filled = fill_hidden(colour, alpha)
    assert (filled[3:17, 3:17] == (200, 100, 50)).all()
    assert (fill_hidden(colour, np.zeros_like(alpha)) == colour).all()
    assert (colour[0, 0] == 0).all()


def test_a_matte_does_not_ring():
    alpha = np.zeros((8, 8), np.uint8)
    alpha[:, 4:] = 255
    ringing = doubled(alpha).astype(int)
    ringing[:, 0:4], ringing[:, 12:] = 3, 250
    result = clamp_matte(alpha, ringing.astype(np.uint8))
    assert (result[:, :4] == 0).all() and (result[:, 12:] == 255).all()


def test_depths():
    every = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(to_depth(to_depth(every, np.uint16), np.uint8), every)
    assert to_depth(np.array([[65535, 32767]], np.uint16), np.uint8).tolist() == [[255, 127]]


def test_over_white():
    colour = np.full((2, 2, 3), 100, np.uint8)
    alpha = np.array([[0, 255], [51, 255]], np.uint8)
    assert over_white(colour, alpha)[..., 0].tolist() == [[255, 100], [224, 100]]
