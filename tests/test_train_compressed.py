"""Encoded training pairs: footage from stills, round trips, units and their cache."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from espcn_demo.errors import InputError
from espcn_demo.metrics import psnr
from train.clips import bicubic, clip_pair, clip_report, read_luma, score
from train.codecs import jpeg_round_trip, round_trip
from train.compressed import Encoding, compress, encoded_pairs
from train.footage import Look, draw_look, film, move
from train.material import encoded_units
from train.methods import interpolation


@pytest.fixture(scope="module")
def still():
    from skimage.data import camera

    return camera()[60:260, 120:360].astype(np.float32) / 255


@pytest.fixture
def frames(still):
    views = move(still, (64, 96), 6, np.random.default_rng(0))
    return [np.rint(view.clip(0, 1) * 255).astype(np.uint8) for view in views]


@pytest.mark.parametrize("codec", ["libx264", "libx265", "libvpx-vp9"])
def test_a_round_trip_keeps_number_order_and_size(frames, codec):
    back = round_trip(frames, codec=codec, crf=20)
    assert [f.shape for f in back] == [f.shape for f in frames]
    assert all(psnr(a, b, peak=255) > 30 for a, b in zip(frames, back, strict=True))


def test_stronger_is_worse(frames):
    for codec in ("libx264", "jpeg"):
        scores = [psnr(frames[2], compress(frames, Encoding(codec, crf))[2], peak=255) for crf in (14, 24, 34)]
        assert scores == sorted(scores, reverse=True)
    assert psnr(frames[0], jpeg_round_trip(frames[0], 95), peak=255) > psnr(
        frames[0], jpeg_round_trip(frames[0], 40), peak=255
    )


def test_a_camera_path_stays_inside_and_depends_on_the_seed(still):
    one, two = (move(still, (64, 96), 8, np.random.default_rng(5)) for _ in range(2))
    assert len(one) == 8 and all(view.shape == (64, 96) for view in one)
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_footage_without_a_look_is_the_view_itself(still):
    plain = Look(blur=0, grain=0, grain_blur=0, gain=(1.0, 1.0), lift=0)
    view = still[:64, :96]
    assert np.allclose(film([view], plain, np.random.default_rng(0))[0], view, atol=1e-6)


def test_grain_is_new_in_every_frame(still):
    grainy = Look(blur=0, grain=0.02, grain_blur=0, gain=(1.0, 1.0), lift=0)
    one, two = film([still[:64, :96]] * 2, grainy, np.random.default_rng(0))
    assert np.std(one - two) == pytest.approx(0.02 * 2**0.5, rel=0.1)


def test_pairs_show_the_same_scene(still):
    for seed in range(4):
        for high, low in encoded_pairs(still, np.random.default_rng(seed), low_size=(48, 64)):
            assert high.shape == (96, 128) and low.shape == (48, 64)
            assert psnr(high, bicubic(low), peak=255) > 18


def test_units_are_kept_in_the_cache_and_filtered_by_strength(tmp_path, still):
    path = tmp_path / "s.png"
    Image.fromarray((still * 255).astype(np.uint8)).save(path)
    units, _ = encoded_units([path], variants=30, crf=(13, 36), cache=tmp_path / "cache")
    strong, _ = encoded_units([path], variants=30, crf=(25, 36), cache=tmp_path / "cache")
    assert 0 < len(strong) < len(units) and all(25 <= unit.strength <= 36 for unit in strong)
    first = units[0].load(0)
    (kept,) = (tmp_path / "cache").iterdir()
    again = units[0].load(0)
    assert kept.suffix == ".npz" and all(np.array_equal(a.low, b.low) for a, b in zip(first, again, strict=True))


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path, still):
    path = tmp_path / "s.png"
    Image.fromarray((still * 255).astype(np.uint8)).save(path)
    (tmp_path / "file").write_text("in the way")
    units, _ = encoded_units([path], variants=1, crf=(13, 36), cache=tmp_path / "file")
    with pytest.raises(InputError, match="cannot be written"):
        units[0].load(0)


def test_clips_are_scored_by_the_protocol(tmp_path, make_clip):
    clip = make_clip(tmp_path / "c.mp4", frames=10, size=(66, 50), audio=False)
    high = read_luma(clip)
    assert len(high) == 10 and high[0].shape == (48, 64)
    pair = clip_pair(clip, high, 30)
    assert len(pair.high) == len(pair.low) == 3  # every fourth frame
    report, text = clip_report([clip], {"nearest": interpolation("nearest")})
    assert report["psnr"]["bicubic"]["c"][30] == pytest.approx(score(pair, bicubic))
    assert "mean gain" in text
    with pytest.raises(InputError, match="cannot be read"):
        read_luma(tmp_path / "nothing.mp4")


def test_looks_cover_sharp_and_soft_clean_and_grainy():
    looks = [draw_look(np.random.default_rng(n)) for n in range(60)]
    assert {look.blur == 0 for look in looks} == {look.grain == 0 for look in looks} == {True, False}


def test_the_crossing_is_where_the_difference_changes_sign():
    from train.crossover import crossings

    names = ["espcn_x2", "espcn_x2_compressed", "espcn_x2_compressed_strong"]
    values = [(10, 40, 38, 36), (20, 36, 37, 35), (30, 30, 33, 34)]
    rows = [{"qp": qp, "psnr": dict(zip(names, scores, strict=True))} for qp, *scores in values]
    found = crossings(rows, names)
    assert found["espcn_x2_compressed"] == pytest.approx(16.67, abs=0.01)
    assert found["espcn_x2_compressed_strong"] == pytest.approx(26.67, abs=0.01)
