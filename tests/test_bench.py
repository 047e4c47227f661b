"""The bench: its figures are consistent, and it shows what did not run."""

from __future__ import annotations

import json

import pytest

from espcn_demo import bench
from espcn_demo.dimensions import FLOP_PER_PIXEL


@pytest.fixture(scope="module")
def found():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bench, "_MATRIX", 128)
        return bench.run(sizes=[(64, 48), (32, 24)], seconds=1e-3)


def test_figures_follow_from_the_durations(found):
    assert {(one.width, one.height) for one in found.timings} == {(64, 48), (32, 24)}
    for one in found.timings:
        assert one.fastest <= one.median <= one.slowest
        assert one.runs >= 2
        work = one.width * one.height * FLOP_PER_PIXEL / 1e9
        assert one.gflops == pytest.approx(work / one.median)
        assert one.share == pytest.approx(one.gflops / found.limits[one.limit])
    for one in found.timings:
        if one.engine == bench.REFERENCE:
            assert one.times_reference == 1.0


def test_every_engine_is_timed_or_refused(found):
    timed = {one.engine for one in found.timings}
    for backend, precision in bench.CANDIDATES:
        refused = any(reason.startswith(backend) or precision in reason for reason in found.refusals)
        assert f"{backend} {precision}" in timed or refused, (backend, precision)


def test_tables_and_json_name_the_machine(found):
    text, table = found.text(), found.markdown()
    for shown in (text, table):
        assert found.machine in shown
        assert bench.REFERENCE in shown
        for reason in found.refusals:
            assert reason in shown
    columns = {line.count("|") for line in table.splitlines() if line.startswith("|")}
    assert columns == {4}
    assert json.loads(json.dumps(found.as_dict()))["timings"]


def test_the_plot_is_a_picture(found, tmp_path):
    from PIL import Image

    pytest.importorskip("matplotlib", reason="matplotlib is part of the train extra")
    found.plot(tmp_path / "speed.png")
    with Image.open(tmp_path / "speed.png") as picture:
        assert picture.format == "PNG"
        assert len(picture.convert("L").getcolors(256) or []) > 3
