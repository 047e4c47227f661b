"""The server ends in mid-run and comes back: what people read meanwhile, and that the page works again."""

from __future__ import annotations

from espcn_demo.ui import wording

from .conftest import Server
from .test_page import READY, upload


def test_a_restart_in_mid_run(open_page, picture, make_clip, tmp_path):
    running = Server(tmp_path)
    with running as address:
        idle, busy = open_page(at=address), open_page(at=address)
        upload(idle, "Image", picture)
        idle.locator(f"#image-compare {READY}").wait_for()
        upload(busy, "Video", make_clip(tmp_path / "long.mp4", frames=900, size=(320, 240)))
        busy.locator("#video-status", has_text="Preview of").wait_for()
        busy.get_by_role("button", name="Run", exact=True).click()
        busy.locator("#video-status", has_text="Frame").wait_for()

        running.kill()
        busy.get_by_text(wording.INSTEAD["Connection to the server was lost"]).first.wait_for()
        running.start()
        busy.get_by_role("alert").filter(has_text=wording.RESTARTED).wait_for()
        upload(busy, "Image", picture)
        busy.locator(f"#image-compare {READY}").wait_for()

        # A page that was idle has not noticed: its file is gone all the same.
        idle.get_by_role("button", name="Upscale", exact=True).click()
        idle.get_by_text(wording.RESTARTED).locator("visible=true").first.wait_for()
        upload(idle, "4×", picture)
        idle.locator(f"#four-compare {READY}").wait_for()
