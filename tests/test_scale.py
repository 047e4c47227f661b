"""The plan for an archive: arithmetic, sentences, and a real measurement."""

from __future__ import annotations

import json

import pytest

from espcn_demo import scale
from espcn_demo.cluster.rates import Rates, make_clip, measure
from espcn_demo.errors import InputError

RATES = Rates(fps=2.0, skip_fps=200.0, segment=50, bits=400_000, source="as given")
ARCHIVE = scale.Archive(hours=1000, width=1280, height=720)


def plan(archive=ARCHIVE, rates=RATES, **options):
    return scale.plan(archive, rates, **{"workers_per_machine": 1, "overhead": 0.0, "efficiency": 1.0, **options})


def test_one_worker_takes_frames_over_rate():
    found = plan(machines=1)
    assert found.worker_hours == pytest.approx(1000 * 25 / 2) and found.days == pytest.approx(12_500 / 24)
    assert found.segments == 1_800_000 and found.head_mbit == pytest.approx(0.8)


def test_bytes():
    found = plan(machines=10)
    assert found.result_bytes == pytest.approx(90_000_000 * 50_000)
    assert found.sent_bytes == pytest.approx(10 * 1000 * 3600 * 5e6 / 8)
    assert found.source_bytes >= 1000 * 3600 * 5e6 / 8


@pytest.mark.parametrize("workers_per_machine", [1, 16])
@pytest.mark.parametrize("days", [1, 7, 30])
def test_days_are_kept_and_one_machine_less_would_not_do(days, workers_per_machine):
    found = plan(days=days, workers_per_machine=workers_per_machine)
    assert found.days <= days and found.workers == found.machines * workers_per_machine
    assert plan(machines=found.machines - 1, workers_per_machine=workers_per_machine).days > days


def test_many_workers_cost_what_they_decode_for_nothing_and_no_more():
    few, some, many, more = (plan(machines=count).worker_hours for count in (1, 10, 200, 2000))
    assert few < some < many == pytest.approx(more)
    assert many / few < 1.1


def test_overhead_and_waiting_count():
    assert plan(machines=1, overhead=2.5).days == pytest.approx(plan(machines=1).days * 1.1)
    assert plan(machines=1, efficiency=0.5).days == pytest.approx(plan(machines=1).days * 2)


def test_cost_is_machines_times_hours():
    found = plan(machines=4, price=2.0)
    assert found.cost == pytest.approx(4 * 2.0 * found.days * 24)
    assert plan(machines=4).cost is None


@pytest.mark.parametrize("options", [{}, {"machines": 1, "days": 1.0}, {"machines": 0}, {"days": -1.0}])
def test_either_machines_or_days(options):
    with pytest.raises(InputError, match="either a number of machines or a number of days"):
        plan(**options)


def test_figures_must_be_positive():
    with pytest.raises(InputError, match="greater than zero"):
        plan(scale.Archive(hours=0, width=1, height=1), machines=1)


def test_the_command_prints_a_plan(capsys):
    arguments = ["plan", "--hours", "1000", "--size", "1280x720", "--fps", "2", "--days", "14", "--price", "0.5"]
    assert scale.main(arguments) == 0
    text = capsys.readouterr().out
    assert "machines" in text and "days" in text and "to the head" in text
    assert scale.main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["days"] <= 14 and found["rates"]["fps"] == 2 and found["archive"]["hours"] == 1000


def test_the_command_refuses_in_one_sentence(capsys):
    assert scale.main(["plan", "--hours", "10", "--size", "large", "--fps", "2"]) == 2
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.slow
def test_a_worker_is_measured(tmp_path, monkeypatch):
    monkeypatch.setattr("espcn_demo.cluster.cores.keep_to_cores", lambda count: ())
    make_clip(tmp_path / "made.mp4", 64, 48, frames=16)
    rates = measure(tmp_path / "made.mp4", backend="torch")
    assert rates.fps > 0 and rates.skip_fps > rates.fps / 2 and rates.bits > 0 and rates.segment >= 16
    assert "made.mp4" in rates.source and "torch" in rates.source
