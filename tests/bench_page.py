"""How long visitors wait, in a real browser: the figures that README gives for the page.

    python -m tests.bench_page [--repeat 3]        a Markdown table; run it on an otherwise idle machine

Each repetition starts a server of its own. Its first page counts from the start of the process; pictures and clips
count from the moment the browser is handed the file until the compare component shows both sides.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from threading import Thread

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from .browser.conftest import FLAGS, PATIENCE, Server, find_chromium
from .browser.test_page import READY, upload
from .clips import photo_frame, write

Times = dict[str, list[float]]
PICTURES = {"first picture, 240x200": (240, 200), "picture of one megapixel": (1152, 868)}
CLIP = (854, 480)
SHOWN = """selector => document.querySelector(selector)
    && new Promise(drawn => requestAnimationFrame(() => requestAnimationFrame(() => drawn(true))))"""
PREVIEW = "preview of a 10-second 854x480 clip"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--repeat", type=int, default=3)
    repeat = parser.parse_args().repeat
    times: Times = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        files = make_files(Path(folder))
        browser = playwright.chromium.launch(executable_path=find_chromium(), args=list(FLAGS))
        for number in range(repeat):
            visit(browser, Path(folder) / str(number), files, times)
        browser.close()
    print("| seconds, median (most) | |\n|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.2f} ({max(values):.2f}) |")
    return 0


def make_files(folder: Path) -> dict[str, Path]:
    """Pictures and a clip, made from a photograph."""
    from skimage.data import astronaut

    files = {}
    for name, size in PICTURES.items():
        files[name] = folder / f"{size[0]}.png"
        Image.fromarray(astronaut()).resize(size, Image.Resampling.LANCZOS).save(files[name])
    files[PREVIEW] = folder / "clip.mp4"
    frames = (photo_frame(index % 60, 427, 240).reformat(*CLIP) for index in range(250))
    write(files[PREVIEW], frames, options={"crf": "23"})
    return files


def visit(browser: Browser, folder: Path, files: dict[str, Path], times: Times) -> None:
    """One server, one visitor, who looks at the page before its engine is warm."""
    folder.mkdir()
    server = Server(folder)
    started = time.monotonic()

    def note(name: str) -> None:
        times.setdefault(name, []).append(time.monotonic() - started)

    first = Thread(target=lambda: answered(server.address) and note("first page, from the start of the process"))
    first.start()
    server.start()
    note("engine warm, from the start of the process")
    first.join()
    try:
        for name, path in files.items():
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.set_default_timeout(PATIENCE)
            page.goto(server.address)
            tab = "Video" if path.suffix == ".mp4" else "Image"
            page.get_by_role("tab", name=tab, exact=True).wait_for()
            started = time.monotonic()
            upload(page, tab, path)
            # Asked at each frame, and answered after the next has been drawn; a locator would ask every half second.
            page.wait_for_function(SHOWN, arg=f"#{tab.lower()}-compare {READY}")
            note(name)
            page.close()
    finally:
        server.stop()


def answered(address: str) -> bool:
    """Wait until the page is served."""
    until = time.monotonic() + PATIENCE / 1000
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(address, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.05)
    return False


if __name__ == "__main__":
    sys.exit(main())
