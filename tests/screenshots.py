"""Make README's pictures of the page, from a real server and a real browser.

python -m tests.screenshots            writes docs/page.webp, docs/measured.webp and docs/phone.webp
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from .browser.conftest import FLAGS, PATIENCE, Server, find_chromium

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> int:
    """Take the pictures."""
    with tempfile.TemporaryDirectory() as folder, Server(Path(folder)) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1200, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.get_by_role("tab", name="Video").click()
        page.get_by_role("button", name="Try the example clip").click()
        page.locator("#video-compare .cmp[data-ready]").wait_for()
        page.locator("#video-compare .cmp-choice option", has_text="Bicubic").wait_for(state="attached")
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator("#video-status", has_text="Done").wait_for()
        page.locator("#video-compare .cmp-choice option", has_text="Bicubic").wait_for(state="attached")
        page.locator("#video-compare .cmp-choice").select_option(label="Bicubic")
        page.locator("#video-compare .cmp-seek").fill("40")
        page.locator("#video-compare .cmp[data-frame='40']").wait_for()
        save(page, "page.webp")

        page.get_by_label("Measure").locator("visible=true").first.check()
        page.get_by_role("button", name="Run", exact=True).click()
        page.locator("#video-status", has_text="Measured").wait_for()
        page.locator("#video-compare .cmp[data-ready]").wait_for()
        save(page, "measured.webp")

        phone = browser.new_page(
            viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True, color_scheme="dark"
        )
        phone.set_default_timeout(PATIENCE)
        phone.goto(address)
        phone.get_by_role("button", name="Cat").locator("visible=true").click()
        phone.locator("#image-compare .cmp[data-ready]").wait_for()
        phone.locator("#image-compare").evaluate("(one) => one.scrollIntoView({ block: 'start' })")
        save(phone, "phone.webp", whole=False)
        browser.close()
    return 0


def save(page: Page, name: str, *, whole: bool = True) -> None:
    """A picture of the page as a small WebP."""
    DOCS.mkdir(exist_ok=True)
    taken = page.screenshot(full_page=whole, animations="disabled")
    Image.open(io.BytesIO(taken)).convert("RGB").save(DOCS / name, quality=88, method=6)
    print(f"{name}: {(DOCS / name).stat().st_size / 1000:.0f} kB", flush=True)


if __name__ == "__main__":
    sys.exit(main())
