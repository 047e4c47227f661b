"""The engine cache, with text files as engines: every kind of damage ends in a working engine and a log line."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
from dataclasses import fields, replace

import pytest

from espcn_demo.backends import cache

KEY = cache.Key("ab" * 32, "NVIDIA H200", "90", "2.13.0", "2.13.0", "11.0.1", "float16", "1x1x720x1280")


@pytest.fixture
def engines(tmp_path, monkeypatch):
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "engines"))
    return Workshop()


class Workshop:
    """Builds, saves and loads engines, and counts."""

    def __init__(self) -> None:
        self.built = self.loaded = 0

    def build(self) -> str:
        self.built += 1
        return "engine"

    def save(self, engine, path) -> None:
        path.write_text(engine, encoding="ascii")

    def load(self, path) -> str:
        text = path.read_text(encoding="ascii")
        if text != "engine":
            raise RuntimeError("not an engine")
        self.loaded += 1
        return text

    def obtain(self, key=KEY, **options) -> str:
        return cache.obtain(key, build=self.build, save=self.save, load=self.load, **options)


def test_an_engine_is_built_once_and_loaded_then(engines):
    assert engines.obtain() == engines.obtain() == "engine"
    assert (engines.built, engines.loaded) == (1, 1)
    (entry,) = cache.entries()
    assert entry.bytes == len("engine")
    assert json.loads(json.dumps(entry.as_dict()))["name"] == KEY.file_name
    assert not [name for name in os.listdir(cache.folder()) if name.startswith(".building")]


@pytest.mark.parametrize("field", [field.name for field in fields(cache.Key)])
def test_everything_an_engine_depends_on_is_in_its_name(field, engines):
    other = replace(KEY, **{field: "another"})
    assert other.file_name != KEY.file_name
    engines.obtain()
    engines.obtain(other)
    assert engines.built == 2


@pytest.mark.parametrize("damage", ["truncated", "corrupt", "foreign", "no checksum", "empty"])
def test_damaged_files_are_deleted_and_built_again(damage, engines, caplog):
    engines.obtain()
    path = cache.folder() / KEY.file_name
    checksum = path.with_name(path.name + ".sha256")
    if damage == "no checksum":
        checksum.unlink()
    elif damage == "foreign":  # whole, but not of this kind
        import hashlib

        path.write_bytes(b"PK another program's")
        checksum.write_text(hashlib.sha256(path.read_bytes()).hexdigest(), encoding="ascii")
    else:
        path.write_bytes({"truncated": b"eng", "corrupt": b"engime", "empty": b""}[damage])
    with caplog.at_level(logging.WARNING):
        assert engines.obtain() == "engine"
    assert engines.built == 2
    assert "is built again" in caplog.text
    assert engines.obtain() == "engine"
    assert (engines.built, engines.loaded) == (2, 1)


def test_a_folder_that_cannot_be_made_is_no_hindrance(engines, monkeypatch, tmp_path, caplog):
    (tmp_path / "file").write_text("in the way", encoding="ascii")
    monkeypatch.setenv(cache.VARIABLE, str(tmp_path / "file" / "engines"))
    with caplog.at_level(logging.WARNING):
        assert engines.obtain() == "engine"
    assert "cannot be kept" in caplog.text
    assert cache.entries() == []


def test_a_full_disk_leaves_nothing_behind(engines, caplog):
    def full(engine, path):
        path.write_text("en", encoding="ascii")
        raise OSError(28, "No space left on device")

    with caplog.at_level(logging.WARNING):
        assert cache.obtain(KEY, build=engines.build, save=full, load=engines.load) == "engine"
    assert "No space left" in caplog.text
    assert [name for name in os.listdir(cache.folder()) if not name.endswith(".lock")] == []
    assert engines.obtain() == "engine"
    assert engines.built == 2


def test_a_build_that_fails_raises_its_own_error(engines):
    def failing():
        raise RuntimeError("unsupported layer")

    with pytest.raises(RuntimeError, match="unsupported layer"):
        cache.obtain(KEY, build=failing, save=engines.save, load=engines.load)
    assert engines.obtain() == "engine"


def test_the_least_recently_used_make_room(engines):
    keys = [replace(KEY, shape=f"1x1x{size}x{size}") for size in (16, 32, 64)]
    for age, key in enumerate(keys[:2]):
        engines.obtain(key)
        os.utime(cache.folder() / key.file_name, (1000 - age, 1000 - age))
    engines.obtain(keys[2], largest=2 * len("engine"))
    assert {entry.name for entry in cache.entries()} == {keys[0].file_name, keys[2].file_name}
    assert cache.clear() == 2
    assert cache.entries() == []


def _build_slowly(folder, started, built) -> None:
    os.environ[cache.VARIABLE] = folder
    workshop = Workshop()

    def build():
        with built.get_lock():
            built.value += 1
        return "engine"

    started.wait()
    cache.obtain(KEY, build=build, save=workshop.save, load=workshop.load)


def test_two_processes_build_an_engine_once(tmp_path):
    context = multiprocessing.get_context("spawn")
    started, built = context.Barrier(2), context.Value("i", 0)
    workers = [context.Process(target=_build_slowly, args=(str(tmp_path), started, built)) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0]
    assert built.value == 1
    assert (tmp_path / KEY.file_name).read_text(encoding="ascii") == "engine"
