"""The worker process: answers, refusals, crashes, hangs, memory, orphans; and that its messages cannot harm."""

import contextlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from isolated_jobs import add, count, crash, defect, evil, exhaust, hang, leave, noisy, patient, refuse, twice

from espcn_demo.channel import Channel
from espcn_demo.errors import InputError, WeightsError
from espcn_demo.sandbox import CRASHED, DEFECT, NO_MEMORY, Done, StoppedError, Worker, run_isolated


@pytest.fixture(scope="module")
def worker():
    worker = Worker()
    yield worker
    worker.kill()


def run(worker, function, *args, **kwargs):
    for message in worker.stream(function, *args, **kwargs):
        if isinstance(message, Done):
            return message.result
    raise AssertionError("no result")


def gone(pid):
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            stat = Path(f"/proc/{pid}/stat")
            if not (stat.exists() and stat.read_text().rsplit(")", 1)[1].split()[0] == "Z"):
                time.sleep(0.05)
                continue
        return True
    return False


def test_results_and_arrays(worker):
    assert run(worker, add, 2, 3) == 5
    assert np.array_equal(run(worker, twice, np.arange(3, dtype=np.uint16)), [0, 0, 1, 1, 2, 2])
    assert run(worker, noisy) == 5


def test_progress_comes_in_order(worker):
    messages = [message for message in worker.stream(count, 20) if message is not None]
    assert messages[:-1] == list(range(20))
    assert messages[-1].result == 20


def test_an_input_error_keeps_its_class_and_sentence(worker):
    pid = worker.pid
    with pytest.raises(WeightsError, match="These weights are damaged"):
        run(worker, refuse)
    assert worker.pid == pid


def test_a_defect_says_nothing_of_its_text(worker):
    with pytest.raises(InputError) as caught:
        run(worker, defect)
    assert str(caught.value) == DEFECT


@pytest.mark.parametrize("end", [crash, leave])
def test_a_crash_is_one_sentence_and_the_next_job_runs(worker, end):
    run(worker, add, 0, 0)
    pid = worker.pid
    with pytest.raises(InputError) as caught:
        run(worker, end)
    assert str(caught.value) == CRASHED
    assert gone(pid)
    assert run(worker, add, 1, 1) == 2


def test_a_hang_is_killed(worker):
    run(worker, add, 0, 0)
    pid = worker.pid
    with pytest.raises(InputError, match="longer than 1 s"):
        run(worker, hang, timeout=1)
    assert gone(pid)


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit is Linux's")
def test_too_much_memory_is_one_sentence():
    with pytest.raises(InputError) as caught:
        run_isolated(exhaust, memory=2**30)
    assert str(caught.value) == NO_MEMORY


def test_a_worker_that_cannot_warm_itself_still_answers():
    worker = Worker(warm=defect)
    try:
        assert run(worker, add, 1, 2) == 3
    finally:
        worker.kill()


def test_cancel_lets_the_job_clean_up(worker, tmp_path):
    cancelled = threading.Event()
    with pytest.raises(StoppedError):
        for message in worker.stream(patient, str(tmp_path), cancelled=cancelled):
            if message == "started":
                cancelled.set()
    assert (tmp_path / "cleaned").exists()
    assert run(worker, add, 1, 2) == 3


def test_a_closed_iterator_stops_the_job(worker, tmp_path):
    stream = worker.stream(patient, str(tmp_path))
    while next(stream) != "started":
        pass
    stream.close()
    assert (tmp_path / "cleaned").exists()
    assert run(worker, add, 2, 2) == 4


def test_what_the_worker_sends_cannot_run_code(worker):
    with pytest.raises(InputError):
        run(worker, evil)
    ours, theirs = os.pipe()
    channel = Channel(ours, theirs, trusted=False)
    for payload in (os.system, eval, pickle.loads, subprocess.run):
        channel.send(("done", payload))
        with pytest.raises(EOFError):
            channel.receive(1)
    os.close(ours)
    os.close(theirs)


def test_nothing_is_left_when_the_server_is_killed(tmp_path):
    script = textwrap.dedent("""
        import sys, time
        sys.path.insert(0, sys.argv[1])
        import isolated_jobs
        from espcn_demo.sandbox import Worker
        worker = Worker()
        stream = worker.stream(isolated_jobs.hang)
        next(stream)
        print(worker.pid, flush=True)
        time.sleep(60)
    """)
    server = subprocess.Popen([sys.executable, "-c", script, str(Path(__file__).parent)], stdout=subprocess.PIPE)
    pid = int(server.stdout.readline())
    server.send_signal(signal.SIGKILL)
    server.wait()
    server.stdout.close()
    assert gone(pid)
