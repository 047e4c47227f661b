"""Mutated pictures and clips: only success or InputError, no hang, no crash, no memory beyond the limit.

Five thousand inputs, or as many as wanted:

    ESPCN_FUZZ=100000 pytest tests/test_fuzz.py

Everything is opened in the worker process that the page uses, which is where a crash or a hang shows. Mutations are
made from a seed, so that an input that fails can be made again: its number is in the message.
"""

import os
import random
import struct
from pathlib import Path

import numpy as np
import pytest

from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.sandbox import CRASHED, DEFECT, NO_MEMORY, Done, Worker

from .isolated_fuzz import open_clip, open_picture

COUNT = int(os.environ.get("ESPCN_FUZZ", "5000"))
HANG = 10.0  # seconds a file
START = 200.0  # seconds for the first ones, while the process still imports what it needs
LIMITS = Limits(bytes=2**22, pixels=2_000_000, seconds=20, frames=60, memory=2 * 2**30)
PICTURES = ("png", "jpg", "webp", "tif", "gif", "bmp", "avif")
CLIPS = (("mp4", "libx264"), ("mkv", "libx264"), ("webm", "libvpx-vp9"), ("avi", "mpeg4"), ("ts", "mpeg2video"))


@pytest.fixture(scope="module")
def worker():
    worker = Worker(memory=LIMITS.memory)
    yield worker
    worker.kill()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory, photo):
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    found = []
    for suffix in PICTURES:
        path = folder / f"a.{suffix}"
        Image.fromarray(photo[:40, :56]).save(path)
        found.append(path)
    Image.fromarray(np.asarray(photo[:32, :32, 0], np.uint16) * 257).save(folder / "deep.png")
    Image.fromarray(np.dstack([photo[:24, :24], photo[:24, :24, :1]])).save(folder / "alpha.png")
    return [*found, folder / "deep.png", folder / "alpha.png"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    from .conftest import write_clip

    folder = tmp_path_factory.mktemp("clips")
    return [
        write_clip(folder / f"a.{suffix}", frames=6, codec=codec, audio=suffix in ("mp4", "mkv"))
        for suffix, codec in CLIPS
    ]


def odd_clips():
    """Small real clips of many kinds, where the shared data is at hand."""
    shared = Path(os.environ.get("ESPCN_DATA", Path(__file__).parents[2] / "shared" / "data"))
    return sorted(path for path in (shared / "video" / "odd").glob("*") if 500 < path.stat().st_size < 100_000)


def mutated(data, seed):
    """A damaged copy: flipped and random bytes, cuts, repeats, and sizes that promise too much."""
    chance = random.Random(seed)
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16, 64))):
        place = chance.randrange(len(data)) if chance.random() < 0.5 else chance.randrange(min(len(data), 256))
        kind = chance.randrange(6)
        if kind == 0:
            data[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            data[place] = chance.randrange(256)
        elif kind == 2:
            del data[place : place + chance.randrange(1, 64)]
        elif kind == 3:
            data[place:place] = data[place : place + chance.randrange(1, 64)]
        elif kind == 4:
            value = chance.choice((0, 1, 0x7F, 0xFF, 0x7FFFFFFF, 0xFFFFFFFF, 0x80000000, 65535, 100_000))
            data[place : place + 4] = struct.pack(chance.choice("<>") + "I", value)
        else:
            data = data[: max(8, place)] if chance.random() < 0.2 else data
        if len(data) < 16:
            break
    return bytes(data)


def check(worker, function, path, what, timeout=HANG):
    """Run one input; an answer that is neither success nor an honest refusal fails the test."""
    try:
        for message in worker.stream(function, path, LIMITS, timeout=timeout, cancelled=None):
            if isinstance(message, Done):
                peak = message.result
                assert peak < LIMITS.memory, f"{what}: {peak / 2**20:.0f} MiB"
                return True
    except InputError as error:
        sentence = str(error)
        assert sentence not in (CRASHED, DEFECT, NO_MEMORY), f"{what}: {sentence}"
        assert "was stopped" not in sentence, f"{what}: longer than {timeout:.0f} s"
        assert sentence and len(sentence) < 400 and "\n" not in sentence, f"{what}: {sentence!r}"
        assert str(Path(path).parent) not in sentence, f"{what}: {sentence!r}"
    return False


def fuzz(worker, function, sources, folder, count, offset):
    successes = 0
    for number in range(offset, offset + count):
        source = sources[number % len(sources)]
        path = folder / f"input{source.suffix}"
        path.write_bytes(mutated(source.read_bytes(), number))
        successes += check(worker, function, path, f"{source.name} with seed {number}")
    return successes


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_mutated_pictures(worker, pictures, tmp_path):
    for source in pictures:
        assert check(worker, open_picture, source, source.name, START), f"{source.name} itself is refused"
    successes = fuzz(worker, open_picture, pictures, tmp_path, COUNT * 3 // 4, 0)
    assert successes > 0


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_mutated_clips(worker, clips, tmp_path):
    for source in clips:
        assert check(worker, open_clip, source, source.name, START), f"{source.name} itself is refused"
    successes = fuzz(worker, open_clip, [*clips, *odd_clips()], tmp_path, COUNT - COUNT * 3 // 4, 1_000_000)
    assert successes > 0


def test_mutations_are_the_same_every_time():
    data = bytes(range(256)) * 8
    assert mutated(data, 3) == mutated(data, 3) != mutated(data, 4)
