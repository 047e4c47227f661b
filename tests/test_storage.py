"""The page's files: cleaned after a killed server, swept after the retention time, within the budget."""

import os
import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext

import pytest

from espcn_demo import storage as module
from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.storage import Storage


@pytest.fixture
def storage(tmp_path):
    storage = Storage(Limits(retention_seconds=100, disk=10_000, disk_reserve=1), tmp_path)
    yield storage
    storage.close()


def age(path, seconds):
    then = time.time() - seconds
    os.utime(path, (then, then))


def test_old_files_go_and_new_ones_stay(storage):
    own = storage.cache / "logo.png"
    own.write_bytes(b"x")
    storage.keep()
    old, new = storage.job() / "old.png", storage.job() / "new.png"
    for path in (old, new, storage.temporary / "half.bin"):
        path.write_bytes(b"x")
    for path in (own, old, old.parent, storage.temporary / "half.bin"):
        age(path, 101)
    assert storage.sweep() == 2
    assert sorted(path.name for path in storage.folder.rglob("*") if path.is_file()) == ["logo.png", "new.png"]
    assert storage.sweep() == 0
    assert not (old.parent.exists() and _changed_long_ago(old.parent))
    assert storage.temporary.is_dir()


def _changed_long_ago(folder):
    return folder.stat().st_mtime < time.time() - 100


def test_what_a_job_uses_is_kept_until_after_it(storage):
    path, results = storage.job() / "in.png", storage.job()
    for file in (path, results / "part"):
        file.write_bytes(b"x")
        age(file, 101)
    with storage.using([str(path), results, 3, "/etc/hostname", None]):
        assert storage.sweep() == 0
    assert storage.sweep() == 0  # the retention time starts at the end of the job
    for file in (path, results / "part"):
        age(file, 101)
    assert storage.sweep() == 2


def test_the_budget_refuses_politely(storage):
    storage.require(9_999)
    with pytest.raises(InputError, match="disk is full"):
        storage.require(10_001)
    (storage.job() / "result").write_bytes(bytes(10_001))
    storage._size = (-module.MEASURED_FOR, 0)
    with pytest.raises(InputError, match="try again in"):
        storage.require()


def test_a_running_job_has_some_slack(storage, monkeypatch):
    for size, refused in ((10_001, False), (12_501, True)):
        (storage.job() / "result").write_bytes(bytes(size - storage.used()))
        storage._size = (-module.MEASURED_FOR, 0)
        with pytest.raises(InputError, match="disk is full") if refused else nullcontext():
            storage.require_slack()


def test_close_leaves_nothing(tmp_path):
    storage = Storage(Limits(), tmp_path)
    (storage.job() / "x").write_bytes(b"x")
    storage.close()
    assert list(tmp_path.iterdir()) == []


def test_a_killed_server_is_cleaned_up_after_and_a_living_one_is_not(tmp_path, monkeypatch):
    script = textwrap.dedent("""
        import os, sys, time
        from pathlib import Path
        from espcn_demo.limits import Limits
        from espcn_demo.storage import Storage
        storage = Storage(Limits(), Path(sys.argv[1]))
        (storage.job() / "result.png").write_bytes(b"x")
        print(storage.folder, flush=True)
        time.sleep(60)
    """)
    command = [sys.executable, "-c", script, str(tmp_path)]
    servers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    folders = [tmp_path / server.stdout.readline().strip() for server in servers]
    servers[0].kill()
    servers[0].wait()
    monkeypatch.setattr(module.Storage, "watch", lambda self: None)
    monkeypatch.setattr(module.tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", os.environ.get("TMPDIR", "/tmp"))
    monkeypatch.setenv("GRADIO_TEMP_DIR", "")
    storage = module.start(Limits(), tmp_path)
    try:
        assert not folders[0].exists()
        assert (folders[1]).is_dir()
        assert os.environ["GRADIO_TEMP_DIR"] == str(storage.cache)
    finally:
        storage.close()
        servers[1].kill()
        for server in servers:
            server.wait()
            server.stdout.close()


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Start the storage of a server whose system has its temporary folder here."""
    monkeypatch.setattr(module.Storage, "watch", lambda self: None)
    for name in ("TMPDIR", "GRADIO_TEMP_DIR", "ESPCN_FOLDER"):
        monkeypatch.setenv(name, "")
    monkeypatch.setattr(module.tempfile, "tempdir", str(tmp_path))
    return module.start


def test_what_is_not_a_server_s_is_never_removed(start, monkeypatch, tmp_path):
    own, link = tmp_path / "somebody's", tmp_path / ("a" * 32)
    (own / "photos").mkdir(parents=True)
    (own / "notes.lock").touch()
    (own / ("b" * 32)).symlink_to(own / "photos")
    (own / ("c" * 32)).mkdir()
    link.symlink_to(own)
    monkeypatch.setenv("ESPCN_FOLDER", str(link))  # an operator's own link is followed
    start(Limits()).close()
    assert sorted(path.name for path in own.iterdir()) == ["b" * 32, "notes.lock", "photos"]


def test_a_link_in_the_temporary_folder_is_not_followed(start, tmp_path):
    (tmp_path / "home" / ("c" * 32)).mkdir(parents=True)
    (tmp_path / f"espcn-{os.getuid()}").symlink_to(tmp_path / "home")
    with pytest.raises(InputError, match="belongs to another user"):
        start(Limits())
    assert (tmp_path / "home" / ("c" * 32)).is_dir()


def test_a_folder_that_cannot_be_made_is_a_sentence(start, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ESPCN_FOLDER", str(tmp_path / "file" / "folder"))
    with pytest.raises(InputError, match="set ESPCN_FOLDER"):
        start(Limits())
