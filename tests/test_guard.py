"""The guard in front of the page: attacks on a real Gradio app, and what an answer may not tell."""

import asyncio
import json
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.testclient import TestClient

from espcn_demo import answers, guard
from espcn_demo.limits import Limits
from espcn_demo.storage import Storage

META = {"_type": "gradio.FileData"}
ADDRESSES = ["http://127.0.0.1:9/x", "https://example.com/x", " HTTPS://example.com", "ftp://e/x", "file:///etc/passwd"]


@pytest.fixture(scope="module")
def storage(tmp_path_factory):
    storage = Storage(Limits(bytes=100_000, disk=1_000_000, disk_reserve=1), tmp_path_factory.mktemp("page"))
    yield storage
    storage.close()


@pytest.fixture(scope="module")
def page(storage):
    """A Gradio page behind the guard; it has a plain function on a file and one that fails."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(storage.cache))
        patch.delenv("SPACE_ID", raising=False)
        loops, make = [], asyncio.new_event_loop
        patch.setattr(asyncio, "new_event_loop", lambda: loops.append(make()) or loops[-1])
        import gradio as gr

        def size(path):
            return Path(path).stat().st_size

        def fail():
            raise RuntimeError(f"secret {os.getcwd()}")

        with gr.Blocks() as blocks:
            gr.Button().click(size, gr.File(), gr.Number(), api_name="size", queue=False)
            gr.Button().click(fail, None, gr.Number(), api_name="fail", queue=False)
        app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        guard.install(app, storage.limits, storage)
        gr.mount_gradio_app(app, blocks, path="/", max_file_size=storage.limits.bytes, show_error=False)
        with TestClient(app, raise_server_exceptions=False) as client:
            yield client
        asyncio.set_event_loop(None)
        for loop in loops:  # Gradio leaves its own open
            loop.close()


@pytest.fixture
def requests_made(monkeypatch):
    """Every address that the server would fetch."""
    made = []

    async def fetch(url, *args, **kwargs):
        made.append(url)
        raise RuntimeError("no network in tests")

    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_get", fetch)
    monkeypatch.setattr("gradio.processing_utils.async_ssrf_protected_download", fetch)
    monkeypatch.setattr("gradio.routes.secure_url_stream_response", fetch)
    return made


def upload(page, data, name="x.bin"):
    return page.post("/gradio_api/upload", files={"files": (name, data)})


def test_the_page_itself_works(page):
    assert "gradio" in page.get("/").text
    (path,) = upload(page, b"12345").json()
    answer = page.post("/gradio_api/run/size", json={"data": [{"path": path, "meta": META}]})
    assert answer.json()["data"] == [5]
    served = page.get(f"/gradio_api/file={path}")
    assert served.content == b"12345"
    assert "sandbox" in served.headers["content-security-policy"]


@pytest.mark.parametrize("address", [*ADDRESSES, "//example.com/x"])
def test_the_server_fetches_no_address(page, requests_made, address):
    quoted = address.strip()
    for wanted in (quoted, quoted.replace("/", "%2F"), quoted.replace("h", "%68", 1)):
        assert page.get(f"/gradio_api/file={wanted}").status_code in (403, 404)
        assert page.get(f"/gradio_api/proxy={wanted}").status_code == 404
    assert requests_made == []


@pytest.mark.parametrize("address", ADDRESSES)
@pytest.mark.parametrize("route", ["run/size", "call/size", "queue/join", "api/size", "call/v2/size"])
def test_no_payload_makes_it_fetch(page, requests_made, address, route):
    files = [{"path": address, "meta": META}, [{"path": address, "meta": META, "url": "x"}]]
    for file in files:
        body = {"data": [file], "fn_index": 0, "session_hash": "s"}
        assert page.post(f"/gradio_api/{route}", json=body).status_code == 400
        disguised = page.post(
            f"/gradio_api/{route}", content=json.dumps(body), headers={"content-type": "application/x-json"}
        )
        assert disguised.status_code == 400
    twice = f'{{"data": [{{"path": "{address}", "path": "/x", "meta": {{"_type": "gradio.FileData"}}}}]}}'
    assert page.post(f"/gradio_api/{route}", content=twice).status_code == 400
    assert requests_made == []


def test_mcp_tools_take_no_addresses(page):
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "size", "arguments": {}}}
    for value in ("https://example.com/x.png", {"deep": ["http://example.com"]}):
        call["params"]["arguments"] = {"path_": value}
        for body in (call, [call]):
            answer = page.post("/gradio_api/mcp/", json=body)
            assert (answer.status_code, answer.json()["detail"]) == (400, guard.NO_ADDRESS)
    hello = {"method": "initialize", "params": {"clientInfo": {"websiteUrl": "https://example.com"}}}
    assert page.post("/gradio_api/mcp/", json=hello).json().get("detail") != guard.NO_ADDRESS


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "{cwd}/pyproject.toml",
        "{cache}/../../../../etc/passwd",
        "..%2f..%2fetc/passwd",
        "{tmp}/x",
        "~/.bashrc",
    ],
)
def test_files_outside_the_cache_stay_outside(page, storage, path):
    (storage.temporary / "x").write_bytes(b"half an upload")
    path = path.format(cwd=os.getcwd(), cache=storage.cache, tmp=storage.temporary)
    served = page.get(f"/gradio_api/file={path}")
    assert served.status_code in (403, 404)
    read = page.post("/gradio_api/run/size", json={"data": [{"path": path, "meta": META}]})
    assert read.status_code == 403
    for answer in (served, read):
        assert os.getcwd() not in answer.text and "Traceback" not in answer.text


@pytest.mark.parametrize(
    "path",
    [
        *("/monitoring", "/monitoring/summary", "/gradio_api/vibe-code/", "/docs", "/openapi.json"),
        *("/gradio_api/custom_component/a/client/b/secret", "/gradio_api/deep_link?session_hash=a"),
        *("/gradio_api/stream/a/b/1/playlist.m3u8", "/gradio_api/component_server"),
    ],
)
def test_routes_that_the_page_does_not_use_are_shut(page, path, capfd):
    for answer in (page.get(path), page.post(path, json={})):
        assert answer.status_code == 404 and "removed after a while" in answer.text
    assert "secret" not in "".join(capfd.readouterr())


def test_an_oversize_upload_is_refused_and_leaves_nothing(page, storage):
    before = sorted(storage.folder.rglob("*"))
    assert upload(page, bytes(200_000)).status_code == 413

    def chunks():
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
        for _ in range(30):
            yield bytes(10_000)
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    assert page.post("/gradio_api/upload", content=chunks(), headers=headers).status_code == 413
    assert [path for path in sorted(storage.folder.rglob("*")) if path.stat().st_size > 50_000] == []
    assert upload(page, bytes(90_000)).status_code == 200
    assert len(before) < len(sorted(storage.folder.rglob("*")))


def test_a_large_or_deep_request_is_refused(page):
    assert page.post("/gradio_api/run/size", content=b" " * (guard.JSON_BYTES + 1)).status_code == 413
    assert page.post("/gradio_api/run/size", content=b"[" * 100_000).status_code in (400, 422)


def test_what_is_no_json_is_refused(page):
    """A number that Python does not read hides the address from the guard, and must not get past it."""
    address = f'{{"n": {"1" * 5_000}, "data": [{{"path": "http://127.0.0.1:9/x"}}]}}'
    for body in (address, "a=1&b=2", "\ufeff{", "{", '{"data": [}'):
        for route in ("run/size", "call/v2/size", "queue/join", "mcp/"):
            answer = page.post(f"/gradio_api/{route}", content=body)
            assert (answer.status_code, answer.json()["detail"]) == (400, answers.SENTENCES[400])


@pytest.mark.parametrize("room", [[], [True]], ids=["at once", "while it arrives"])
def test_an_upload_onto_a_full_disk_is_refused(page, storage, monkeypatch, room):
    monkeypatch.setattr(storage, "has_room", lambda extra=0: bool(room) and room.pop())

    def chunks():
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="x"\r\n\r\n'
        yield bytes(10_000)
        yield b"\r\n--b--\r\n"

    headers = {"content-type": "multipart/form-data; boundary=b"}
    answer = page.post("/gradio_api/upload", content=chunks(), headers=headers)
    assert answer.status_code == 503 and "disk is full" in answer.json()["detail"]


@pytest.mark.parametrize("name", ["../../evil.py", "/etc/cron.d/evil", "a\\..\\b", "<img src=x onerror=alert(1)>.png"])
def test_hostile_file_names_stay_in_the_cache(page, storage, name):
    answer = upload(page, b"x", name)
    if answer.status_code == 200:
        assert Path(answer.json()[0]).resolve().is_relative_to(storage.cache)
    assert not Path("/etc/cron.d/evil").exists()


def test_a_failing_function_tells_nothing(page, caplog, capfd):
    answer = page.post("/gradio_api/run/fail", json={"data": []})
    assert answer.status_code == 500
    said = "".join([answer.text, caplog.text, *capfd.readouterr()])
    assert "secret" not in said and os.getcwd() not in said
    assert "RuntimeError at test_guard.py:" in caplog.text


def test_a_range_is_answered_without_the_request_s_own_headers(page):
    (path,) = upload(page, b"12345", "x.png").json()
    private = {"cookie": "session=secret", "authorization": "Bearer secret", "x-ip-token": "secret"}
    answers = {}
    for wanted in ("0-1", "1-", "-2", "0-0,2-3", "a-b", f"{'9' * 5_000}-{'9' * 5_000}"):
        answer = page.get(f"/gradio_api/file={path}", headers={**private, "range": f"bytes={wanted}"})
        assert not any("secret" in value for value in answer.headers.values())
        answers[wanted] = answer.status_code, answer.content
    part, whole = 206, (200, b"12345")
    assert list(answers.values()) == [(part, b"12"), (part, b"2345"), (part, b"45"), whole, whole, whole]


@pytest.mark.parametrize("method", ["TRACE", "PUT", "PATCH", "CONNECT"])
def test_unused_methods_are_refused(page, method):
    assert page.request(method, "/").status_code == 405


def test_every_answer_has_the_headers(page):
    for path in ("/", "/config", "/gradio_api/file=/etc/passwd", "/nothing/here", "/monitoring"):
        headers = page.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "SAMEORIGIN"
        assert "content-security-policy" in headers
        assert "server" not in headers


def test_on_a_space_the_frame_of_the_hub_is_allowed(page, monkeypatch):
    monkeypatch.setenv("SPACE_ID", "owner/name")
    headers = page.get("/").headers
    assert "x-frame-options" not in headers
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]


@pytest.fixture
def bare():
    """Answers of our own choice behind the guard."""
    app = FastAPI()

    @app.get("/path")
    def path():
        return JSONResponse({"detail": f"cannot open {os.getcwd()}/secret.txt"}, status_code=404)

    @app.get("/trace")
    def trace():
        return PlainTextResponse('Traceback (most recent call last):\n  File "x.py"', status_code=400)

    @app.get("/harmless")
    def harmless():
        return JSONResponse({"detail": "The queue is full."}, status_code=503)

    @app.get("/raise")
    def fail():
        raise RuntimeError("a visitor's words")

    guard.install(app, Limits())
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


def finish(coroutine):
    """Run it to its end in a thread: Playwright, in the browser tests, leaves a running loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, coroutine).result()


def test_an_application_that_fails_after_its_answer_is_answered_once():
    """Gradio's own error handling sends 500 and raises again: a second answer would break the connection."""
    sent = []

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"secret"})
        raise RuntimeError("secret")

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    finish(guard.Guard(application, limits=Limits())(scope, None, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert b"secret" not in sent[1]["body"]


def test_a_visitor_who_leaves_is_no_error(caplog):
    async def application(scope, receive, send):
        raise ClientDisconnect

    scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
    finish(guard.Guard(application, limits=Limits())(scope, None, None))
    assert caplog.records == []


def test_errors_are_cleaned(bare, caplog):
    for path, status in (("/path", 404), ("/trace", 400), ("/raise", 500)):
        answer = bare.get(path)
        assert answer.status_code == status
        assert set(answer.json()) == {"detail"}
        assert not any(word in answer.text for word in ("/", "Trace", "File", "words"))
    assert bare.get("/harmless").json() == {"detail": "The queue is full."}
    assert "words" not in caplog.text
