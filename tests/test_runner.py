"""Jobs of the page: their turn, their result, their end, and what is counted."""

import threading
from types import SimpleNamespace

import pytest
from isolated_jobs import add, defect, patient, refuse, report, stand_in_engine

from espcn_demo.errors import InputError, WeightsError
from espcn_demo.limits import Limits
from espcn_demo.runner import Runner, Waiting, visitor
from espcn_demo.sandbox import Done, StoppedError
from espcn_demo.storage import Storage


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    storage = Storage(Limits(disk_reserve=1), tmp_path_factory.mktemp("page"))
    runner = Runner(storage.limits, storage)
    yield runner
    runner.stop()
    assert not storage.folder.exists()


def test_a_job_runs_and_is_counted(runner):
    messages = [message for message in runner.stream("image", "me", add, 2, 3) if message is not None]
    assert isinstance(messages[-1], Done) and messages[-1].result == 5
    assert 'espcn_jobs_total{kind="image",outcome="done"} 1' in runner.state.metrics()


def test_stages_are_counted_however_they_are_reported(runner):
    for stages in ({"decode": 1.5, "name": "x"}, {"decode": {"spent": 2.0, "waited": 9.0}}):
        list(runner.stream("video", "me", report, stages))
    assert 'espcn_stage_seconds_total{stage="decode"} 3.5' in runner.state.metrics()
    assert "espcn_worker_crashes_total 0" in runner.state.metrics()


def test_it_waits_for_its_turn(runner):
    other = runner.desk.take("somebody else")
    stream = runner.stream("image", "me", add, 1, 1)
    assert next(stream) == Waiting(ahead=1)
    runner.desk.leave(other)
    assert [message.result for message in stream if isinstance(message, Done)] == [2]


def test_stop_while_waiting(runner):
    stop = threading.Event()
    with runner.desk.take("somebody else"):
        stream = runner.stream("image", "me", add, 1, 1, cancelled=stop)
        next(stream)
        stop.set()
        with pytest.raises(StoppedError):
            list(stream)
    assert (runner.desk.waiting, runner.desk.running) == (0, 0)


def test_a_closed_tab_frees_everything(runner, tmp_path):
    stream = runner.stream("video", "me", patient, str(tmp_path))
    while next(stream) != "started":
        pass
    stream.close()
    assert (tmp_path / "cleaned").exists()
    assert (runner.desk.waiting, runner.desk.running) == (0, 0)
    assert 'espcn_jobs_total{kind="video",outcome="stopped"} 1' in runner.state.metrics()


def test_refusals_and_defects_are_told_apart(runner):
    with pytest.raises(WeightsError):
        list(runner.stream("measure", "me", refuse))
    with pytest.raises(InputError, match="on our side"):
        list(runner.stream("measure", "me", defect))
    metrics = runner.state.metrics()
    assert 'espcn_jobs_total{kind="measure",outcome="refused"} 1' in metrics
    assert 'espcn_jobs_total{kind="measure",outcome="failed"} 1' in metrics


def test_a_full_disk_refuses_before_queueing(runner):
    with pytest.raises(InputError, match="disk is full"):
        list(runner.stream("image", "me", add, 1, 1, room=10**15))


def test_a_job_that_fills_the_disk_is_stopped(runner, tmp_path, monkeypatch):
    stream = runner.stream("video", "me", patient, str(tmp_path))
    while next(stream) != "started":
        pass
    monkeypatch.setattr(runner.storage, "free", lambda: 0)
    with pytest.raises(InputError, match="disk is full"):
        list(stream)
    assert (tmp_path / "cleaned").exists()
    assert (runner.desk.waiting, runner.desk.running) == (0, 0)


def test_the_log_says_which_weights_serve(runner, monkeypatch, caplog):
    monkeypatch.setenv("ESPCN_WEIGHTS", "no such weights")
    one = Runner(runner.limits, runner.storage, warm=stand_in_engine)
    try:
        one._start()
    finally:
        one.worker.kill()
    assert one.state.engine == "stand-in"
    assert "weights: espcn_x2, bundled, because no weights named 'no such weights'" in caplog.text


def request(host, session="s", **headers):
    return SimpleNamespace(client=SimpleNamespace(host=host), headers=headers, session_hash=session)


def test_visitors_are_told_apart_and_not_recorded(monkeypatch):
    monkeypatch.delenv("SPACE_ID", raising=False)
    assert visitor(request("10.0.0.1")) == visitor(request("10.0.0.1", "other session"))
    assert visitor(request("10.0.0.1")) != visitor(request("10.0.0.2"))
    assert visitor(request("127.0.0.1", "a")) != visitor(request("127.0.0.1", "b"))
    assert "10.0.0.1" not in visitor(request("10.0.0.1"))
    assert visitor(None) == visitor(SimpleNamespace())
    forged = {"x-forwarded-for": "1.2.3.4"}
    assert visitor(request("10.0.0.1", **forged)) == visitor(request("10.0.0.1"))


def test_behind_a_proxy_only_its_own_word_counts(monkeypatch):
    monkeypatch.setenv("SPACE_ID", "owner/name")
    one = visitor(request("10.0.0.1", **{"x-forwarded-for": "forged, 5.5.5.5"}))
    assert one == visitor(request("10.0.0.9", **{"x-forwarded-for": "5.5.5.5"}))
    assert one != visitor(request("10.0.0.1", **{"x-forwarded-for": "5.5.5.5, 6.6.6.6"}))
    assert one == visitor(request("10.0.0.1", **{"x-forwarded-for": "6.6.6.6, 5.5.5.5, 10.1.2.3"}))
    assert visitor(request("10.0.0.1")) == visitor(request("10.0.0.1", **{"x-forwarded-for": ""}))
    monkeypatch.delenv("SPACE_ID")
    monkeypatch.setenv("ESPCN_PROXY", "1")
    inside = visitor(request("10.0.0.1", **{"x-forwarded-for": "5.5.5.5, 10.1.2.3"}))
    assert inside == visitor(request("10.0.0.9", **{"x-forwarded-for": "6.6.6.6, 10.1.2.3"})) != one
