"""How files come in and results are handled: camera, clipboard, touch, several pictures, a clip four times as large."""

from __future__ import annotations

import base64
import re
from zipfile import ZipFile

from PIL import Image
from skimage.data import chelsea

from .test_page import READY, upload

IMAGE = "#image-compare .cmp"
COPY = """async (text) => {
  const blob = await (await fetch('data:image/png;base64,' + text)).blob();
  await navigator.clipboard.write([new ClipboardItem({ 'image/png': blob })]);
}"""


def wait_for_result(page, tab: str, text: str) -> None:
    """The result that `text` describes is shown."""
    page.locator(f"#{tab}-compare {READY}").wait_for()
    page.get_by_role("tabpanel").locator("visible=true").first.get_by_text(text).first.wait_for()


def test_a_picture_from_the_camera(open_page):
    page = open_page(permissions=("camera",))
    page.get_by_role("button", name="Capture from camera").click()
    page.get_by_role("button", name="Click to Access Webcam").click()
    page.wait_for_function("[...document.querySelectorAll('video')].some((one) => one.videoWidth && !one.paused)")
    page.get_by_role("button", name="capture photo").click()
    page.locator(f"#image-compare {READY}").wait_for()
    told = page.get_by_role("tabpanel").locator("visible=true").first.inner_text()
    width, height, twice_width, twice_height = map(int, re.findall(r"(\d+)×(\d+) → (\d+)×(\d+)", told)[0])
    assert (twice_width, twice_height) == (2 * width, 2 * height) and width >= 320


def test_pasted_pictures(open_page, picture, tmp_path):
    page = open_page(permissions=("clipboard-read", "clipboard-write"))
    page.evaluate(COPY, base64.b64encode(picture.read_bytes()).decode())
    page.keyboard.press("Control+v")
    wait_for_result(page, "image", "240×200 → 480×400")
    other = tmp_path / "other.png"
    Image.fromarray(chelsea()[:90, :130]).save(other)
    page.evaluate(COPY, base64.b64encode(other.read_bytes()).decode())
    page.get_by_role("button", name="Paste from clipboard").click()
    wait_for_result(page, "image", "130×90 → 260×180")
    page.evaluate(COPY, base64.b64encode(picture.read_bytes()).decode())
    page.keyboard.press("Control+v")  # over the picture that is there
    wait_for_result(page, "image", "240×200 → 480×400")


def drag(page, start: tuple[float, float], end: tuple[float, float]) -> None:
    """One finger, from point to point in CSS pixels."""
    finger = page.context.new_cdp_session(page)
    points = [[start[axis] + (end[axis] - start[axis]) * step / 8 for axis in (0, 1)] for step in range(9)]
    for index, (x, y) in enumerate(points):
        kind = "touchMove" if index else "touchStart"
        finger.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [{"x": x, "y": y}]})
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def test_wipe_and_pan_by_touch(open_page, picture):
    page = open_page(width=390, height=844, touch=True)
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    stage, wipe = page.locator(f"{IMAGE} .cmp-stage"), page.locator(f"{IMAGE} .cmp-wipe")
    stage.evaluate("(one) => one.scrollIntoView({ block: 'center' })")
    box = stage.bounding_box()
    left, middle = box["x"] + 0.2 * box["width"], box["y"] + box["height"] / 2
    drag(page, (box["x"] + box["width"] / 2, middle), (left, middle))
    assert abs(float(wipe.input_value()) - 20) < 1

    # Up and down is for the page, also over the picture, and leaves the wipe where it was.
    before = page.evaluate("scrollY")
    drag(page, (box["x"] + 0.7 * box["width"], middle), (box["x"] + 0.7 * box["width"], middle - 120))
    page.wait_for_function("(before) => scrollY > before + 40", arg=before)
    assert abs(float(wipe.input_value()) - 20) < 1

    page.locator(f"{IMAGE} [data-zoom='2']").tap()
    page.locator(f"{IMAGE}[data-zoomed]").wait_for()
    assert page.locator(f"{IMAGE} [data-zoom='2']").bounding_box()["height"] >= 44


def test_several_pictures_become_a_gallery_and_a_zip(open_page, picture, tmp_path):
    page = open_page()
    broken, other = tmp_path / "broken.png", tmp_path / "other.jpg"
    broken.write_text("no picture")
    Image.fromarray(chelsea()[:90, :131]).save(other)
    page.get_by_role("button", name="Several pictures at once").click()
    page.locator("#image-several input[type=file]").set_input_files([str(picture), str(other), str(broken)])
    page.get_by_role("button", name="Upscale all").click()
    page.locator("#image-status", has_text="2 of 3 pictures are done. broken.png").wait_for()
    page.locator("#image-gallery img").nth(1).wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download the zip").click()
    saved = tmp_path / "all.zip"
    download.value.save_as(saved)
    with ZipFile(saved) as archive:
        assert archive.testzip() is None
        sizes = {}
        for name in archive.namelist():
            with archive.open(name) as file, Image.open(file) as image:
                image.load()
                sizes[name] = (image.format, image.size)
    assert sizes == {"astronaut-2x.png": ("PNG", (480, 400)), "other-2x.jpg": ("JPEG", (262, 180))}


def test_a_short_clip_four_times_as_large(open_page, make_clip, tmp_path):
    page = open_page()
    upload(page, "4×", make_clip(tmp_path / "clip.mp4", frames=8, size=(96, 64)))
    for label in ("Bicubic", "2× then bicubic", "Naive chain"):
        page.locator("#four-compare .cmp-choice option", has_text=label).first.wait_for(state="attached")
    panel = page.get_by_role("tabpanel").locator("visible=true").first
    told = panel.inner_text()
    assert "96×64 → 384×256" in told and "The first 10 seconds at most" in told
    assert "4× differs from the 2× result enlarged bicubically by" in told
    with page.expect_download() as download:
        panel.get_by_role("button", name="Download MP4").click()
    saved = tmp_path / "four.mp4"
    download.value.save_as(saved)

    import av

    with av.open(str(saved)) as container:
        frames = list(container.decode(video=0))
        assert len(frames) == 8 and (frames[0].width, frames[0].height) == (384, 256)
        assert container.streams.audio
    link = panel.get_by_role("link", name="Link to this result").get_attribute("href")
    again = open_page("/" + link)
    again.locator(f"#four-compare {READY}").wait_for()
    assert again.get_by_role("button", name="Download MP4").locator("visible=true").count() == 1
    panel.get_by_label("Measure").check()
    panel.get_by_role("button", name="Enlarge 4×").click()
    names = panel.get_by_role("table").get_by_role("rowheader")
    names.first.wait_for()
    ways = ["ESPCN 4×", "2× then bicubic", "Naive chain", "Bicubic", "Lanczos", "Bilinear", "Nearest"]
    assert names.all_inner_texts() == ways
    assert "The second pass adds" in panel.inner_text()


def test_a_new_picture_takes_the_place_of_one_that_is_worked_on(open_page, picture, tmp_path):
    page = open_page()
    large = tmp_path / "large.png"
    Image.fromarray(chelsea()).resize((1800, 1200)).save(large)
    page.get_by_label("Best").locator("visible=true").first.check()
    upload(page, "Image", large)
    page.locator("#image-status", has_text="Working").wait_for()
    upload(page, "Image", picture)
    wait_for_result(page, "image", "240×200 → 480×400")
    assert page.get_by_role("button", name="Stop", exact=True).locator("visible=true").is_disabled()


DROP = """([selector, name, type, text]) => {
  const bytes = Uint8Array.from(atob(text), (one) => one.charCodeAt(0)), data = new DataTransfer();
  data.items.add(new File([bytes], name, { type }));
  const target = [...document.querySelectorAll(selector)].find((one) => one.offsetParent);
  for (const kind of ['dragenter', 'dragover', 'drop']) {
    const event = new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
    target.dispatchEvent(event);
    if (kind !== 'dragenter' && !event.defaultPrevented) throw new Error(`the browser would open the file: ${kind}`);
  }
}"""


def drop(page, selector: str, path, type_: str) -> None:
    """What a browser does when a file is let go over an element."""
    page.evaluate(DROP, [selector, path.name, type_, base64.b64encode(path.read_bytes()).decode()])


def test_a_file_may_be_dropped_anywhere(open_page, picture, make_clip, tmp_path):
    page = open_page()
    drop(page, "h1", picture, "image/png")
    page.locator("body.dragging").wait_for()
    page.locator("body:not(.dragging)").wait_for()
    wait_for_result(page, "image", "240×200 → 480×400")
    clip = make_clip(tmp_path / "clip.mkv", frames=10, size=(160, 120))
    drop(page, "#image-compare", clip, "")  # browsers know no type for some clips
    page.locator(f"#video-compare {READY}").wait_for()
    assert page.get_by_role("tab", name="Video").get_attribute("aria-selected") == "true"
    drop(page, ".source", picture, "image/png")
    wait_for_result(page, "image", "240×200 → 480×400")
    assert page.get_by_role("tab", name="Image").get_attribute("aria-selected") == "true"
    page.get_by_role("tab", name="About").click()
    drop(page, "h1", clip, "video/x-matroska")
    page.locator(f"#video-compare {READY}").wait_for()


def test_a_clip_finds_its_tab_in_a_narrow_window(open_page, make_clip, tmp_path):
    page = open_page(width=280)
    drop(page, "h1", make_clip(tmp_path / "clip.mp4", frames=10, size=(160, 120)), "video/mp4")
    page.locator(f"#video-compare {READY}").wait_for()


def test_a_field_keeps_what_is_dropped_on_it(open_page, picture):
    page = open_page()
    drop(page, ".source .upload-container", picture, "image/png")
    wait_for_result(page, "image", "240×200 → 480×400")
    page.get_by_text("Several pictures at once").click()
    page.locator("#image-several .upload-container").wait_for()
    drop(page, "#image-several .upload-container", picture, "image/png")
    page.locator("#image-several").get_by_text("picture").first.wait_for()
