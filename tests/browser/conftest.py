"""A real server and a real Chromium for the browser tests.

A missing browser skips them with the reason; with REQUIRE_BROWSER=1, as in CI, it fails them.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--use-fake-device-for-media-stream",  # a camera that shows a test picture
    "--use-fake-ui-for-media-stream",
)
PATIENCE = 120_000  # milliseconds that anything may take on a busy machine with two cores


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)


def refuse(reason: str) -> None:
    if os.environ.get("REQUIRE_BROWSER") == "1":
        pytest.fail(f"REQUIRE_BROWSER=1, but {reason}")
    pytest.skip(reason)


def find_chromium() -> str:
    named = os.environ.get("CHROMIUM")
    found = named or next(filter(None, map(shutil.which, CHROMIUM)), None)
    if not found:
        refuse("no Chromium on the path: install it, or set CHROMIUM to the program")
    return str(found)


@pytest.fixture(scope="session")
def chromium():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        refuse("Playwright is not installed: pip install 'espcn_demo[dev]'")
    program = find_chromium()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def server(tmp_path_factory) -> Iterator[str]:
    """The page's address; one server for the whole session."""
    with Server(tmp_path_factory.mktemp("server")) as address:
        yield address


class Server:
    """Start app.py on a free port and wait until its engine is warm; `kill` and `start` are a server that crashed."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        with closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self._log = folder / "server.log"
        self._command = [sys.executable, str(ROOT / "app.py"), "--port", str(port), *arguments]
        self._environment = {
            **os.environ,
            "ESPCN_FOLDER": str(folder / "files"),
            "GRADIO_ANALYTICS_ENABLED": "False",
        }

    def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + PATIENCE / 1000
        while time.monotonic() < deadline:
            assert self._process.poll() is None, f"the server ended: {self._log.read_text()}"
            try:
                with urllib.request.urlopen(f"{self.address}/healthz", timeout=5) as answer:
                    if b'"ready":true' in answer.read():
                        return
            except OSError:
                pass  # not listening yet
            time.sleep(0.3)
        raise AssertionError(f"the server did not become ready: {self._log.read_text()}")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> str:
        self.start()
        return self.address

    def __exit__(self, *_: object) -> None:
        self.stop()


@pytest.fixture
def open_page(chromium, server):
    """Opens the page; fails the test afterwards for script errors and for any request to another server."""
    contexts, problems = [], []

    def open_(
        path: str = "/",
        *,
        at: str | None = None,
        width: int = 1280,
        height: int = 900,
        dark: bool = False,
        touch: bool = False,
        permissions: tuple[str, ...] = (),
    ):
        address = at or server
        context = chromium.new_context(
            viewport={"width": width, "height": height},
            color_scheme="dark" if dark else "light",
            has_touch=touch,
            is_mobile=touch,
            reduced_motion="reduce",
            permissions=permissions,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE)
        page.on("pageerror", lambda error: problems.append(f"script error: {error}"))
        page.on("request", lambda request: _inside(request.url, address, problems))
        page.goto(address + path, timeout=PATIENCE)
        page.get_by_role("tab", name="Image").wait_for()
        page.wait_for_function("() => history.state && history.state.server")  # the page's own script has run
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not problems, problems


def _inside(url: str, server: str, problems: list[str]) -> None:
    if not url.startswith((server, "data:", "blob:")):
        problems.append(f"request to another server: {url}")


@pytest.fixture(scope="session")
def picture(tmp_path_factory) -> Path:
    """A small photograph as a file."""
    from PIL import Image
    from skimage.data import astronaut

    path = tmp_path_factory.mktemp("picture") / "astronaut.png"
    Image.fromarray(astronaut()[0:200, 120:360]).save(path)
    return path
