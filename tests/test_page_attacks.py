"""Attacks on the real page, started as `espcn serve` starts it: what test_guard.py does on a small one, and floods."""

import json
import os
import socket
import threading
from pathlib import Path

import httpx
import pytest

from .load_page import BYTES, Page

pytestmark = pytest.mark.slow
META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("attacked")
    page = Page(folder, port, retention=300)
    try:
        page.start()
        page.warm()
        yield page
    finally:
        page.stop()
    assert page.leftovers() == []
    log = (folder / "page.log").read_text()
    assert "Traceback" not in log and "canary" not in log, log[-2_000:]


@pytest.fixture
def client(page):
    with httpx.Client(base_url=page.address, timeout=60) as client:
        yield client


@pytest.fixture
def listener():
    """A loopback server that counts who connects; the page must not."""
    server = socket.create_server(("127.0.0.1", 0))
    server.settimeout(0.2)
    seen, stop = [], threading.Event()

    def accept():
        while not stop.is_set():
            try:
                connection, _ = server.accept()
            except TimeoutError:
                continue
            seen.append(connection)
            connection.close()

    thread = threading.Thread(target=accept)
    thread.start()
    yield f"http://127.0.0.1:{server.getsockname()[1]}/canary.png", seen
    stop.set()
    thread.join()
    server.close()


def upload(client, data, name):
    return client.post("/gradio_api/upload", files={"files": (name, data)}).json()[0]


def call(client, endpoint, *data):
    """The events that an endpoint answers with, as text, or the status that refuses it."""
    sent = client.post(f"/gradio_api/call/{endpoint}", json={"data": list(data)})
    if sent.status_code != 200:
        return sent.status_code, sent.text
    events = client.get(f"/gradio_api/call/{endpoint}/{sent.json()['event_id']}")
    return events.status_code, events.text


def file(path):
    return {"path": path, "meta": META}


def test_addresses_reach_nobody(client, listener):
    address, seen = listener
    for path in (f"/gradio_api/file={address}", f"/gradio_api/proxy={address}", f"/gradio_api/file/{address}"):
        assert client.get(path).status_code in (403, 404)
    for endpoint, rest in (("image", ["fast"]), ("video", ["h264", 18, 0, 0]), ("probe", []), ("measure", [])):
        status, text = call(client, endpoint, file(address), *rest)
        assert status == 400, text
    playlist = f"#EXTM3U\n#EXTINF:1,\n{address}\n#EXT-X-ENDLIST\n".encode()
    concat = f"ffconcat version 1.0\nfile '{address}'\n".encode()
    base = f"<BaseURL>{address}</BaseURL>"
    dash = (
        f"<MPD><Period><AdaptationSet><Representation>{base}</Representation></AdaptationSet></Period></MPD>".encode()
    )
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><image href="{address}"/></svg>'.encode()
    for data, name in ((playlist, "a.mp4"), (playlist, "a.m3u8"), (concat, "a.mkv"), (dash, "a.webm"), (svg, "a.mp4")):
        _, text = call(client, "probe", file(upload(client, data, name)))
        assert "event: error" in text
    assert "event: error" in call(client, "image", file(upload(client, svg, "a.png")), "fast")[1]
    assert seen == []


def test_files_of_the_server_stay_there(client, page, tmp_path):
    canary = tmp_path / "canary.png"
    canary.write_bytes(b"canary")
    for path in (str(canary), "/etc/passwd", str(Path(__file__)), f"{page.root}/../page.log", "/proc/self/environ"):
        assert client.get(f"/gradio_api/file={path}").status_code in (403, 404)
        status, text = call(client, "probe", file(path))
        assert status == 403 and "root:" not in text and "canary" not in text


def test_sentences_hold_no_path(client):
    for data, name in (
        (b"\x89PNG\r\n\x1a\n" + os.urandom(400), "canary.png"),
        (os.urandom(4_000), "canary.mp4"),
        (b"", "c.jpg"),
    ):
        path = upload(client, data, name)
        for endpoint, rest in (("image", ["fast"]), ("video", ["h264", 18, 0, 0]), ("measure", [])):
            _, text = call(client, endpoint, file(path), *rest)
            answer = json.loads(text.split("data: ", 1)[1].split("\n")[0])
            said = answer["error"] if isinstance(answer, dict) else str(answer)
            assert "event: error" in text and said
            assert "/tmp" not in said and "Traceback" not in said and "our side" not in said, said


def test_hostile_names_and_values_are_sentences(client, photo):
    """Whatever a visitor writes into a name or a setting, it is in neither the log nor a stack trace."""
    import io

    from PIL import Image

    picture = io.BytesIO()
    Image.fromarray(photo).save(picture, "PNG")
    for name in ("a\0canary.png", "../canary.png", "\u202egnp.canary", "canary" * 500, "-canary.png", "a\ncanary.png"):
        _, text = call(client, "image", file(upload(client, picture.getvalue(), name)), "fast")
        assert "event: complete" in text, name
    path = upload(client, picture.getvalue(), "a.png")
    for values in (["canary"], [{"canary": 1}], [["canary"]], [7]):
        assert "event: error" in call(client, "image", file(path), *values)[1]
    for values in (["canary", 18, 0, 0], ["h264", "canary", 0, 0], ["h264", -5, 0, 0], ["h264", 18, "canary", 1e300]):
        assert "event: error" in call(client, "video", file(path), *values)[1]
    for route in ("call/v2/image", "run/image", "queue/join", "cancel"):
        assert client.post(f"/gradio_api/{route}", json={"canary": "canary"}).status_code in (400, 422, 500)
    assert client.get("/healthz").status_code == 200  # on the same connection


def test_a_bomb_is_refused_by_its_header(client):
    """168 million pixels in 20 kB."""
    import io
    import struct
    import zlib

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = zlib.compress(bytes(14_000 * 1_501), 9)
    png = io.BytesIO()
    png.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 14_000, 12_000, 8, 0, 0, 0, 0)))
    png.write(chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    _, text = call(client, "image", file(upload(client, png.getvalue(), "a.png")), "fast")
    assert "event: error" in text and "pixel" in text


def test_oversize_and_unused_routes(client):
    assert client.post("/gradio_api/upload", files={"files": bytes(BYTES + 100_000)}).status_code == 413
    for path in ("/monitoring", "/monitoring/summary", "/gradio_api/vibe-code/", "/docs", "/gradio_api/runs"):
        assert client.get(path).status_code == 404


def test_one_visitor_cannot_fill_the_queue(page, client, photo):
    """The fourth job of a browser session is refused with a sentence, and others are served."""
    from gradio_client import Client, handle_file
    from gradio_client.exceptions import AppError
    from PIL import Image

    from .conftest import write_clip

    folder = page.root.parent
    clip = write_clip(folder / "long.mp4", frames=60, size=(160, 120), audio=False)
    Image.fromarray(photo).save(folder / "a.png")
    greedy, other = (Client(page.address, verbose=False, download_files=str(folder / "results")) for _ in range(2))
    jobs = [greedy.submit(handle_file(str(clip)), "h264", 18, 0, 0, api_name="/video") for _ in range(6)]
    large, _ = other.predict(handle_file(str(folder / "a.png")), "fast", api_name="/image")
    assert Path(large).stat().st_size > 0
    refused = 0
    for job in jobs:
        try:
            job.result(200)
        except AppError as error:
            assert "already have 3 jobs" in str(error)
            refused += 1
    assert refused == 3


def test_health_and_metrics_hold_nothing_personal(page, client):
    for path in ("/healthz", "/metrics"):
        text = client.get(path).text
        assert str(page.root) not in text and "canary" not in text and "127.0.0.1" not in text
    assert 'espcn_jobs_total{kind="image",outcome="done"}' in client.get("/metrics").text
