"""ZeroGPU, with a stand-in for `spaces` that fails any use of CUDA outside the decorator."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from espcn_demo import zerogpu
from espcn_demo.limits import Limits

TESTS = Path(__file__).parent


def run(script, tmp_path, **environment):
    """Run a script in a process that takes itself to be on ZeroGPU; returns what it printed."""
    given = {
        **os.environ,
        "SPACES_ZERO_GPU": "true",
        "PYTHONPATH": os.pathsep.join([str(TESTS / "stand_in_spaces"), str(TESTS), str(TESTS.parent)]),
        "ESPCN_FOLDER": str(tmp_path / "page"),
        **environment,
    }
    command = [sys.executable, "-c", textwrap.dedent(script)]
    done = subprocess.run(command, env=given, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-3_000:]
    return done.stdout


def test_elsewhere_nothing_happens(monkeypatch):
    monkeypatch.delenv("SPACES_ZERO_GPU", raising=False)
    assert not zerogpu.active()
    zerogpu.prepare()
    assert "spaces" not in sys.modules


def test_the_duration_follows_the_estimate():
    assert zerogpu.duration(0) < zerogpu.duration(10) < zerogpu.duration(20) <= 40
    assert zerogpu.fits(10)
    assert not zerogpu.fits(100)


def test_estimates_follow_the_file(tmp_path, make_clip, photo):
    from PIL import Image

    Image.fromarray(photo).save(tmp_path / "a.png")
    assert zerogpu.estimate(tmp_path / "a.png", Limits()) == pytest.approx(96 * 128 / zerogpu.PICTURE_RATE)
    short = make_clip(tmp_path / "short.mp4", frames=6)
    long = make_clip(tmp_path / "long.mp4", frames=24)
    assert zerogpu.estimate(long, Limits()) == pytest.approx(4 * zerogpu.estimate(short, Limits()))


JOBS = """
import spaces_jobs, sys, threading
from espcn_demo import zerogpu
zerogpu.prepare()
import spaces, torch
from espcn_demo.errors import InputError
from espcn_demo.limits import Limits
from espcn_demo.runner import Note, Runner
from espcn_demo.sandbox import Done, StoppedError
from espcn_demo.storage import Storage
from pathlib import Path

runner = Runner(Limits(disk_reserve=1), Storage(Limits(), Path("files").absolute()))

def job(function, *args, seconds=2.0):
    messages = [m for m in runner.stream("image", "me", function, *args, gpu_seconds=seconds) if m is not None]
    done = messages[-1].result if isinstance(messages[-1], Done) else None
    return done, [m.text for m in messages if isinstance(m, Note)], messages[:-1]
"""


@pytest.mark.slow
def test_jobs_on_zerogpu(tmp_path):
    (tmp_path / "files").mkdir()
    (tmp_path / "spaces_jobs.py").write_text(
        textwrap.dedent("""
        from espcn_demo.errors import InputError

        def where(on_progress):
            import os, sys, torch
            on_progress("half")
            try:
                torch.cuda.current_device()
            except Exception as error:
                return type(error).__name__
            return "cuda" if "spaces" in sys.modules else f"worker {os.environ.get('CUDA_VISIBLE_DEVICES')!r}"

        def refuse():
            raise InputError("This picture is damaged.")

        def count(on_progress):
            for number in range(1_000):
                on_progress(number)
        """)
    )
    run(
        JOBS
        + """
try:
    torch.cuda.current_device()
    raise SystemExit("the stand-in is of no use")
except RuntimeError:
    pass

result, notes, messages = job(spaces_jobs.where)
assert (result, notes, messages) == ("cuda", [], ["half"]), (result, notes, messages)
assert spaces.asked == [zerogpu.duration(2.0)]

# Stop ends a job on the GPU as well.
stop, seen = threading.Event(), []
try:
    for message in runner.stream("video", "me", spaces_jobs.count, gpu_seconds=1.0, cancelled=stop):
        seen.append(message)
        if len(seen) == 3:
            stop.set()
    raise SystemExit("not stopped")
except StoppedError:
    assert seen == [0, 1, 2], seen
assert not spaces.inside

try:
    job(spaces_jobs.refuse)
    raise SystemExit("not refused")
except InputError as error:
    assert str(error) == "This picture is damaged."

# Too long for the GPU: the worker, which sees no GPU, with a sentence.
result, notes, _ = job(spaces_jobs.where, seconds=500.0)
assert result != "cuda" and len(notes) == 1 and "500 s of GPU time" in notes[0], (result, notes)

spaces.refusal = "You have exceeded your free ZeroGPU quota (60s requested vs. 3s left)."
result, notes, _ = job(spaces_jobs.where)
assert result != "cuda" and notes == [zerogpu.NO_QUOTA], (result, notes)
assert (runner.desk.waiting, runner.desk.running) == (0, 0)
runner.stop()
""",
        tmp_path,
        PYTHONPATH=os.pathsep.join([str(TESTS / "stand_in_spaces"), str(tmp_path), str(TESTS.parent)]),
    )


@pytest.mark.slow
def test_the_whole_page_touches_no_gpu_while_it_is_built(tmp_path):
    printed = run(
        """
        from espcn_demo.ui import server
        app = server.create()
        import sys
        assert sys.modules["spaces"].reported, "the platform would stop a Space that has not told of its function"
        print("built")
        """,
        tmp_path,
    )
    assert "built" in printed


@pytest.mark.slow
def test_the_server_itself_imports_no_torch(tmp_path):
    """Torch and the engine are the worker's: the page starts without waiting for them."""
    printed = run(
        """
        import sys
        sys.modules["torch"] = sys.modules["openvino"] = None
        from espcn_demo.ui import server
        server.create()
        print("built")
        """,
        tmp_path,
        SPACES_ZERO_GPU="",
    )
    assert "built" in printed
