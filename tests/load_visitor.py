"""One visitor of load.py: sends marked files, checks that the results carry the same mark, and misbehaves."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError
from pathlib import Path

import httpx
import numpy as np

from .load_page import BYTES, Page

PATIENCE = 300.0  # seconds that a visitor waits for one result
SIZE = (96, 64)  # width, height
NICE = 10  # of the visitors' threads


class Visitor:
    """Comes with a number, which is the mark in every file, and leaves counts and problems."""

    def __init__(self, number: int, page: Page, folder: Path, chance: random.Random) -> None:
        from gradio_client import Client

        self.number, self.page, self.chance = number, page, chance
        self.folder = folder / f"visitor-{number}"
        self.folder.mkdir(exist_ok=True)
        self.counts: Counter[str] = Counter()
        self.problems: list[str] = []
        self.seconds: list[float] = []
        self._made = 0
        self._client = Client(
            page.address, verbose=False, download_files=str(self.folder), httpx_kwargs={"timeout": PATIENCE}
        )

    def run(self, until: float) -> None:
        """Do one thing after another until then; the end of the server is no problem of the visitor's.

        In a thread that yields to the page's: visitors bring machines of their own, and here they share its cores.
        """
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)
        actions: list[tuple[int, Callable[[], None]]] = [
            (45, self.picture),
            (15, self.clip),
            (10, self.cancelled),
            (10, self.closed_tab),
            (12, self.broken),
            (8, self.oversize),
        ]
        while time.monotonic() < until:
            (action,) = self.chance.choices([a for _, a in actions], [weight for weight, _ in actions])
            try:
                action()
            except CancelledError:
                self.counts["cancelled job"] += 1  # gradio_client cancels what its session has sent meanwhile, too
            except Exception as error:
                if not self.page.alive():
                    return
                self.problems.append(f"{action.__name__}: {type(error).__name__}: {str(error)[:200]}")
            time.sleep(self.chance.uniform(0, 1))

    def picture(self) -> None:
        """A picture, whose result has to carry this visitor's mark."""
        from gradio_client import handle_file
        from PIL import Image

        mark, path = self._mark(), self._path(".png")
        Image.fromarray(_marked(mark)).save(path)
        began = time.monotonic()
        large, _ = self._client.submit(handle_file(str(path)), "fast", api_name="/image").result(PATIENCE)
        self.seconds.append(time.monotonic() - began)
        with Image.open(large) as opened:
            self._check(np.asarray(opened.convert("RGB")), mark, tolerance=4)
        self.counts["picture"] += 1

    def clip(self) -> None:
        """A clip, every frame of whose result has to carry this visitor's mark."""
        import av

        mark, path = self._mark(), self._clip()
        large, _ = self._submit_clip(path).result(PATIENCE)
        with av.open(large) as container:
            frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
        if len(frames) != 8:
            self.problems.append(f"clip: wrong result of {len(frames)} frames")
        for frame in frames:
            self._check(frame, mark, tolerance=24)
        self.counts["clip"] += 1

    def cancelled(self) -> None:
        """A clip that is cancelled soon after it was sent."""
        job = self._submit_clip(self._clip())
        time.sleep(self.chance.uniform(0, 1.5))
        job.cancel()
        self.counts["cancelled job"] += 1

    def closed_tab(self) -> None:
        """A picture whose visitor is gone before the result is there."""
        path = self._path(".png")
        from PIL import Image

        Image.fromarray(_marked(self._mark())).save(path)
        with httpx.Client(base_url=f"{self.page.address}/gradio_api", timeout=PATIENCE) as client:
            sent = client.post("/upload", files={"files": path.read_bytes()}).json()[0]
            data = [{"path": sent, "meta": {"_type": "gradio.FileData"}}, "fast"]
            event = client.post("/call/image", json={"data": data}).json()["event_id"]
            with client.stream("GET", f"/call/image/{event}") as stream:
                next(stream.iter_bytes(), None) if self.chance.random() < 0.5 else None
        self.counts["closed tab"] += 1

    def broken(self) -> None:
        """A file that is none; the answer has to be a sentence without a path."""
        from gradio_client import handle_file
        from gradio_client.exceptions import AppError

        path = self._path(self.chance.choice((".png", ".mp4", ".jpg")))
        path.write_bytes(self.chance.randbytes(2_000))
        try:
            if path.suffix == ".mp4":
                self._submit_clip(path).result(PATIENCE)
            else:
                self._client.submit(handle_file(str(path)), "fast", api_name="/image").result(PATIENCE)
        except AppError as error:
            sentence = str(error)
            if "/" in sentence.replace("http://", "") or "our side" in sentence or "upstream Gradio app" in sentence:
                self.problems.append(f"broken: answered {sentence[:200]!r}")
            self.counts["broken file"] += 1
        else:
            self.problems.append("broken: a result for a broken file")

    def oversize(self) -> None:
        """A file beyond the limit, which has to be refused."""
        with httpx.Client(base_url=f"{self.page.address}/gradio_api", timeout=PATIENCE) as client:
            try:
                status = client.post("/upload", files={"files": bytes(2 * BYTES)}).status_code
            except (httpx.WriteError, httpx.RemoteProtocolError):
                status = 413  # the server has answered and closed before everything was sent
        if status != 413:
            self.problems.append(f"oversize: answered {status}")
        self.counts["oversize file"] += 1

    def _submit_clip(self, path: Path):
        from gradio_client import handle_file

        return self._client.submit(handle_file(str(path)), "h264", 18, 0, 0, api_name="/video")

    def _clip(self) -> Path:
        import av

        path, picture = self._path(".mp4"), _marked(self._mark())
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=25)
            stream.width, stream.height, stream.pix_fmt = *SIZE, "yuv420p"
            stream.options = {"crf": "10", "preset": "ultrafast"}
            for _ in range(8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            container.mux(stream.encode(None))
        return path

    def _path(self, suffix: str) -> Path:
        self._made += 1
        return self.folder / f"{self.number}-{self._made}{suffix}"

    def _mark(self) -> int:
        return self.number

    def _check(self, picture: np.ndarray, mark: int, *, tolerance: int) -> None:
        if picture.shape != (2 * SIZE[1], 2 * SIZE[0], 3):
            self.problems.append(f"wrong result: of size {picture.shape}")
            return
        wanted = _marked(mark).astype(int)
        middle = slice(8, -8)
        for left in range(0, SIZE[0], 16):
            block = picture[middle, 2 * left + 8 : 2 * left + 24].reshape(-1, 3).mean(0)
            if np.abs(block - wanted[0, left]).max() > tolerance:
                self.problems.append(f"wrong result: {block.round()} where {wanted[0, left]} was sent")
                return


def _marked(mark: int) -> np.ndarray:
    """(H, W, 3) uint8: stripes 16 pixels wide, black for a 0 and white for a 1 of the mark's binary digits."""
    digits = [(mark >> place) & 1 for place in range(SIZE[0] // 16 - 1)]
    stripes = np.array([*digits, 1 - digits[-1]], np.uint8) * 220 + 20
    row = np.repeat(stripes, 16)
    return np.ascontiguousarray(np.repeat(np.repeat(row[None, :, None], SIZE[1], 0), 3, 2))
