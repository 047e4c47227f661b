"""Training material: pairs, patches, shards, videos, damaged files."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from espcn_demo.errors import InputError
from train.data import Pair, PatchSampler, list_files, load_pair
from train.material import PictureUnit, picture_units, split
from train.pool import Pool

ROOT = Path(__file__).parent.parent


@pytest.fixture
def pictures(tmp_path, photo):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n in range(4):
        Image.fromarray(np.roll(photo, 9 * n, axis=1)).save(folder / f"{n}.png")
    return folder


def numbered_pairs(count):
    """Pairs whose values tell which pair and which place a patch is from; low is the upper left of each 2x2."""
    pairs = []
    for n in range(count):
        high = (np.arange(48 * 64, dtype=np.uint16) + 5000 * n).reshape(48, 64)
        pairs.append(Pair(high, high[::2, ::2]))
    return pairs


def test_a_pair_has_two_to_one_sides_and_the_benchmarks_luma(pictures):
    pair = load_pair(pictures / "0.png")
    assert pair.high.shape == (96, 128) and pair.low.shape == (48, 64) and pair.white == 65535
    assert pair.high.min() >= 16 / 255 * 65535 - 1 and pair.high.max() <= 235 / 255 * 65535 + 1


def test_low_and_high_patches_show_the_same_place_the_same_way_up():
    low, high = PatchSampler(numbered_pairs(3), batch=64, patch=8, seed=1)(0)
    corners = np.stack([high[:, :, y::2, x::2] for y in (0, 1) for x in (0, 1)])
    assert (np.abs(corners - low).min(0) < 1e-7).all()  # every low pixel is one of its four high pixels


def test_pictures_that_were_decimated_are_not_flipped():
    pairs = [Pair(pair.high, pair.low, centred=False) for pair in numbered_pairs(3)]
    low, high = PatchSampler(pairs, batch=64, patch=8, seed=1)(0)
    assert np.array_equal(high[:, :, ::2, ::2], low)  # the first of its four high pixels, always
    assert len({bool(patch[0, 0, 1] - patch[0, 0, 0] < patch[0, 1, 0] - patch[0, 0, 0]) for patch in low}) == 2


def test_a_batch_depends_on_seed_and_step_alone():
    pairs = numbered_pairs(3)
    one, two = (PatchSampler(pairs, batch=4, patch=8, seed=1) for _ in range(2))
    one(0)
    assert np.array_equal(one(7)[1], two(7)[1])
    assert not np.array_equal(one(7)[1], one(8)[1])
    assert not np.array_equal(one(7)[1], PatchSampler(pairs, batch=4, patch=8, seed=2)(7)[1])


def test_shares_of_processes_are_together_the_batch_of_one():
    sample = PatchSampler(numbered_pairs(3), batch=4, patch=8, seed=1)
    shares = [sample(5, rank=rank, world=2)[0] for rank in (0, 1)]
    assert np.array_equal(np.concatenate(shares), sample(5)[0])


def test_eight_bit_and_sixteen_bit_pairs_are_scaled_by_their_own_white():
    pairs = [Pair(np.full((16, 16), 255, np.uint8), np.full((8, 8), 255, np.uint8))]
    pairs += [Pair(np.full((16, 16), 65535, np.uint16), np.full((8, 8), 65535, np.uint16))]
    low, high = PatchSampler(pairs, batch=16, patch=8, seed=0)(0)
    assert (low == 1).all() and (high == 1).all()


def test_folders_named_for_validation_are_not_trained_on(pictures):
    (pictures / "kodak").mkdir()
    Image.open(pictures / "0.png").save(pictures / "kodak" / "k.png")
    trained, held, videos = split([pictures])
    assert [p.name for p in held] == ["k.png"] and len(trained) == 4 and not videos


def test_unreadable_and_empty_data_are_one_sentence(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        list_files([tmp_path / "nothing"], {".png"})
    with pytest.raises(InputError, match="no pictures or videos"):
        list_files([tmp_path], {".png"})


def test_damaged_pictures_are_named_and_counted(pictures, caplog):
    whole = (pictures / "0.png").read_bytes()
    (pictures / "half.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "text.png").write_text("no picture")
    Image.new("RGB", (20, 20)).save(pictures / "small.png")
    units, damaged = picture_units(split([pictures])[0], "bicubic")
    assert len(units) == 6 and len(damaged) == 1 and "text.png" in damaged[0]
    pool = Pool(units, batch=2, patch=16, seed=0, memory=1 << 30)
    with caplog.at_level(logging.WARNING):
        pool(0)
        pool.warn_skipped()
    pool.close()
    assert "half.png" in caplog.text and "small.png: smaller than a patch" in caplog.text
    assert "2 damaged or too small files skipped" in caplog.text


def test_only_small_pictures_is_one_sentence(pictures):
    units, _ = picture_units(split([pictures])[0], "bicubic")
    with pytest.raises(InputError, match="smaller than a patch"):
        Pool(units, batch=2, patch=60, seed=0, memory=1 << 30)(0)


def test_shards_hold_all_data_in_turn_and_depend_on_their_number_alone(pictures):
    units = [PictureUnit(path, 1000) for path in sorted(pictures.glob("*.png")) for _ in range(3)]
    made = [Pool(units, batch=2, patch=16, seed=3, memory=16_000, shard_steps=2) for _ in range(2)]
    made[1].whole = made[0].whole = False  # 12,000 bytes would fit; shards are what is tested
    forward = [made[0](step) for step in range(12)]
    assert np.array_equal(forward[11][1], made[1](11)[1])  # straight to the sixth shard
    numbers = [n for shard in range(3) for n in made[0]._numbers(shard)]
    assert sorted(numbers) == list(range(12))
    for pool in made:
        assert len(pool._loading) <= 1  # the next shard; the current one besides
        pool.close()


def test_video_frames_are_decoded_as_needed(tmp_path, make_clip):
    from train.sections import section_units

    clip = make_clip(tmp_path / "clip.mp4", frames=30, size=(64, 48), audio=False)
    (tmp_path / "broken.mp4").write_bytes(b"not a video")
    units, damaged = section_units([clip, tmp_path / "broken.mp4"], "bicubic")
    assert len(damaged) == 1 and "broken.mp4" in damaged[0]
    assert sum(unit.frames for unit in units) == 30
    pairs = units[0].load(0)
    assert 0 < len(pairs) <= 12
    assert pairs[0].high.shape == (48, 64) and pairs[0].low.shape == (24, 32) and pairs[0].white == 255
    assert units[0].bytes >= sum(pair.high.nbytes + pair.low.nbytes for pair in pairs)


def test_training_on_pictures_imports_no_av_gradio_or_moviepy():
    code = (
        "import train.fit, train.evaluate, train.sections, sys; print({'av', 'gradio', 'moviepy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
