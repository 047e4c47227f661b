"""Keyboard, phone, screen reader, stop, links, broken files: how people meet the page."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path

import pytest

from espcn_demo.limits import Limits
from espcn_demo.ui import wording

from .conftest import PATIENCE
from .test_page import READY, upload

IMAGE = "#image-compare .cmp"


def test_keyboard_alone(open_page):
    page = open_page()
    example = page.get_by_role("button", name="Cat", exact=True).first
    example.focus()
    page.keyboard.press("Enter")
    page.locator(f"#image-compare {READY}").wait_for()
    wipe = page.get_by_role("slider", name="Wipe between before and after").locator("visible=true").first
    wipe.focus()
    page.keyboard.press("ArrowRight")
    assert wipe.input_value() == "51"
    assert wipe.get_attribute("aria-valuetext") == "51 percent of the left side shown"
    page.keyboard.press("Home")
    assert wipe.input_value() == "0"
    page.keyboard.press("1")
    assert page.locator(f"{IMAGE} [data-zoom='1']").get_attribute("aria-pressed") == "true"
    page.keyboard.press("2")
    page.locator(f"{IMAGE}[data-zoomed]").wait_for()
    page.keyboard.press("d")
    assert page.locator(f"{IMAGE} .cmp-difference").get_attribute("aria-pressed") == "true"
    page.keyboard.press("d")
    page.keyboard.press("0")
    page.locator(f"{IMAGE} .cmp-choice").select_option(label="Source (nearest)")
    assert page.locator(f"{IMAGE} .cmp-tag-left").inner_text() == "Source (nearest)"


def test_wipe_by_mouse_and_pan(open_page, picture):
    page = open_page()
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    stage = page.locator(f"{IMAGE} .cmp-stage")
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + box["height"] * 0.5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.25, box["y"] + box["height"] * 0.5, steps=4)
    page.mouse.up()
    assert abs(float(page.locator(f"{IMAGE} .cmp-wipe").input_value()) - 25) < 1


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_phone(open_page, picture, dark):
    page = open_page(width=390, height=844, dark=dark, touch=True)
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    for tab in ("Image", "Video", "4×", "About"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.get_by_role("tabpanel").locator("visible=true").first.wait_for()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= 390, f"the {tab} tab is {wide} pixels wide"


def test_measure_says_what_is_gained(open_page, picture):
    page = open_page()
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    page.get_by_label("Measure").locator("visible=true").first.check()
    table = page.get_by_role("table").locator("visible=true").first
    table.wait_for()
    names = table.get_by_role("rowheader").all_inner_texts()
    assert names == ["ESPCN", "Bicubic", "Lanczos", "Bilinear", "Nearest"]
    assert table.locator("strong").inner_text().startswith("+")


def test_a_click_on_the_curve_goes_there(open_page, make_clip, tmp_path):
    page = open_page()
    page.get_by_role("tab", name="Video", exact=True).click()
    panel = page.get_by_role("tabpanel").locator("visible=true").first
    panel.get_by_label("Measure").check()
    upload(page, "Video", make_clip(tmp_path / "clip.mp4", frames=20, size=(160, 120)))
    page.locator("#video-status", has_text="Preview of").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("#video-status", has_text="Measured").wait_for()
    clip = page.locator("#video-compare .cmp[data-kind=clip][data-ready]")
    clip.wait_for()
    curve = page.get_by_role("img", name="PSNR over time of ESPCN 2× and Bicubic")
    box = curve.bounding_box()
    curve.click(position={"x": box["width"] * 0.52, "y": box["height"] / 2})
    page.locator("#video-compare .cmp[data-frame='10']").wait_for()
    page.keyboard.press(".")  # the keys go on from there
    page.locator("#video-compare .cmp[data-frame='11']").wait_for()
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement !== null")
    page.keyboard.press("f")
    page.wait_for_function("document.fullscreenElement === null")


def test_link_shows_the_result_again(open_page, picture):
    page = open_page()
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    link = page.get_by_role("link", name="Link to this result").locator("visible=true").first.get_attribute("href")
    again = open_page("/" + link)
    again.locator(f"#image-compare {READY}").wait_for()
    assert again.get_by_role("button", name="Download PNG").locator("visible=true").count() == 1
    gone = open_page("/?result=" + "0" * 32)
    gone.get_by_role("alert").filter(has_text="no longer kept").wait_for()


def test_broken_files_get_a_sentence(open_page, tmp_path):
    page = open_page()
    for tab, name in (("Image", "text.png"), ("Video", "text.mp4"), ("4×", "text.png")):
        broken = tmp_path / name
        broken.write_text("This is no picture and no clip.")
        upload(page, tab, broken)
        panel = page.get_by_role("tabpanel").locator("visible=true").first
        alert = panel.get_by_role("alert").locator("visible=true").first
        alert.wait_for()
        text = alert.inner_text()
        assert name in text and text.rstrip().endswith(".")
        assert "Traceback" not in text and "/tmp" not in text and str(tmp_path) not in text


def test_huge_and_unfit_files_get_a_sentence_at_once(open_page, picture, tmp_path):
    page = open_page()
    huge = tmp_path / "huge.png"
    huge.touch()
    os.truncate(huge, Limits().bytes + 1)
    upload(page, "Image", huge)
    page.get_by_text(wording.INSTEAD["File(s) exceed the maximum"]).first.wait_for()
    upload(page, "Video", picture)
    page.get_by_text(wording.INSTEAD["Invalid file type"]).first.wait_for()


def test_stop_ends_the_run_and_leaves_the_page_usable(open_page, make_clip, picture, tmp_path):
    page = open_page()
    upload(page, "Video", make_clip(tmp_path / "long.mp4", frames=500, size=(320, 240)))
    page.locator("#video-status", has_text="Preview of").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    stop = page.get_by_role("button", name="Stop", exact=True).locator("visible=true")
    page.locator("#video-status progress").wait_for()
    stop.click()
    page.locator("#video-status", has_text="Stopped").wait_for()
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()


def test_a_closed_tab_ends_its_run(open_page, server, make_clip, tmp_path):
    page = open_page()
    upload(page, "Video", make_clip(tmp_path / "long.mp4", frames=500, size=(320, 240)))
    page.locator("#video-status", has_text="Preview of").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("#video-status", has_text="Frame").wait_for()
    page.close()
    deadline = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < deadline:
        with urllib.request.urlopen(f"{server}/metrics", timeout=60) as answer:
            if 'espcn_jobs_total{kind="video",outcome="stopped"}' in answer.read().decode():
                return
        time.sleep(0.5)
    raise AssertionError("the run went on after its tab was closed")


def test_two_tabs_at_once(open_page, picture):
    pages = [open_page(), open_page()]
    for page in pages:
        upload(page, "Image", picture)
    for page in pages:
        page.locator(f"#image-compare {READY}").wait_for()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_accessible(open_page, picture, dark):
    folder = os.environ.get("AXE_CORE")
    if not folder:
        pytest.skip("AXE_CORE is not set: npm install axe-core, and set it to that folder")
    script = Path(folder) / "axe.min.js"
    page = open_page(dark=dark)
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    page.evaluate(script.read_text("utf-8"))
    for tab in ("Image", "Video", "4×", "About"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.get_by_role("tabpanel").locator("visible=true").first.wait_for()
        found = page.evaluate(
            "() => axe.run(document, {resultTypes: ['violations']}).then((all) => all.violations"
            ".filter((one) => ['serious', 'critical'].includes(one.impact))"
            ".map((one) => [one.id, one.nodes.map((node) => node.target.join(' ') + ' ' + node.html.slice(0, 160))]))"
        )
        assert not found, f"{tab}: {json.dumps(found, indent=1)}"
