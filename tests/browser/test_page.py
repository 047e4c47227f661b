"""The page as people use it: a picture and a clip go in, before and after are seen."""

from __future__ import annotations

from pathlib import Path

READY = ".cmp[data-ready]"


def upload(page, tab: str, path: Path) -> None:
    page.get_by_role("tab", name=tab, exact=True).click()
    panel = page.get_by_role("tabpanel").locator("visible=true").first
    panel.locator("input[type=file]").first.set_input_files(str(path))


def test_picture_and_clip(open_page, picture, make_clip, tmp_path):
    page = open_page()
    upload(page, "Image", picture)
    page.locator(f"#image-compare {READY}").wait_for()
    assert "240×200 → 480×400" in page.get_by_role("tabpanel").locator("visible=true").first.inner_text()

    clip = make_clip(tmp_path / "clip.mp4", frames=20, size=(160, 120))
    upload(page, "Video", clip)
    page.locator(f"#video-compare {READY}").wait_for()
    page.locator("#video-status", has_text="Preview of").wait_for()
    page.get_by_role("button", name="Run", exact=True).click()
    page.locator("#video-status", has_text="Done").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Download MP4").click()
    saved = tmp_path / "result.mp4"
    download.value.save_as(saved)

    import av

    with av.open(str(saved)) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (320, 240)
        assert sum(1 for _ in container.decode(stream)) == 20
        assert container.streams.audio
