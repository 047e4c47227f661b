"""The whole server in a process of its own: named endpoints by gradio_client, MCP tools, and what it never says."""

from __future__ import annotations

import asyncio
import json
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from PIL import Image

from .browser.conftest import Server

pytestmark = pytest.mark.slow
NAMES = {"/image", "/image_4x", "/video", "/probe", "/measure"}


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    pytest.importorskip("mcp", reason="the extra mcp is not installed")
    with Server(tmp_path_factory.mktemp("server"), "--mcp") as found:
        yield found


@pytest.fixture(scope="module")
def client(address):
    from gradio_client import Client

    return Client(address, verbose=False)


@pytest.fixture(scope="module")
def file(tmp_path_factory, photo):
    path = tmp_path_factory.mktemp("file") / "photo.png"
    Image.fromarray(photo).save(path)
    return path


def test_only_the_named_endpoints_are_public(client):
    assert set(client.view_api(return_format="dict")["named_endpoints"]) == NAMES


@pytest.mark.parametrize(("name", "scale"), [("/image", 2), ("/image_4x", 4)])
def test_picture_endpoints(client, file, photo, name, scale):
    from gradio_client import handle_file

    result, report = client.predict(handle_file(file), "fast", api_name=name)
    with Image.open(result) as image:
        assert image.size == (scale * photo.shape[1], scale * photo.shape[0])
    assert report["scale"] == scale and "input" not in report and "output" not in report


def test_clip_endpoints(client, make_clip, tmp_path):
    from gradio_client import handle_file

    clip = handle_file(make_clip(tmp_path / "clip.mp4", frames=6))
    found = client.predict(clip, api_name="/probe")
    assert found["width"] == 64 and found["result"]["width"] == 128 and "input" not in found
    assert found["estimate"]["frames"] == 6 and found["estimate"]["seconds"] > 0 and found["estimate"]["bytes"] > 0
    assert found["estimate"]["gain"] is not None
    result, report = client.predict(clip, "h264", 18, 0, 0, api_name="/video")
    assert report["frames"] == 6
    import av

    with av.open(result if isinstance(result, str) else result["video"]) as container:
        assert container.streams.video[0].width == 128


def test_measure_endpoint(client, file):
    from gradio_client import handle_file

    found = client.predict(handle_file(file), api_name="/measure")
    scores = {one["method"]: one["psnr"] for one in found["scores"]}
    assert scores["network"] > scores["bicubic"]


def test_numbers_that_are_none_get_a_sentence(client, make_clip, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    clip = handle_file(make_clip(tmp_path / "clip.mp4", frames=6))
    for crf, start, sentence in (
        ("low", 0, "crf must be a number"),
        (18, "soon", "start must be a number"),
        (99, 0, "crf"),
    ):
        with pytest.raises(AppError, match=sentence):
            client.predict(clip, "h264", crf, start, 0, api_name="/video")


def test_errors_are_sentences(client, tmp_path):
    from gradio_client import handle_file
    from gradio_client.exceptions import AppError

    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(AppError, match="broken.png is not a picture") as caught:
        client.predict(handle_file(broken), "fast", api_name="/image")
    assert "Traceback" not in str(caught.value) and str(tmp_path) not in str(caught.value)


def test_first_page_says_nothing_of_the_machine(address):
    with urllib.request.urlopen(f"{address}/config", timeout=60) as answer:
        text = answer.read().decode()
    assert json.loads(text)["components"]
    assert "site-packages" not in text and "/home/" not in text and "googleapis" not in text


def test_mcp_tools_are_described(address):
    from mcp import ClientSession
    from mcp.client import streamable_http

    # It was renamed in mcp 1.24; Gradio accepts older ones too.
    connect = getattr(streamable_http, "streamable_http_client", None) or streamable_http.streamablehttp_client

    async def tools():
        async with (
            connect(f"{address}/gradio_api/mcp/") as (reader, writer, _),
            ClientSession(reader, writer) as session,
        ):
            await session.initialize()
            return (await session.list_tools()).tools

    with ThreadPoolExecutor(1) as pool:  # a thread has no event loop yet; a browser test leaves one in this one
        found = {tool.name: tool for tool in pool.submit(lambda: asyncio.run(tools())).result()}
    for name in NAMES:
        tool = next((one for key, one in found.items() if key.endswith(name[1:])), None)
        assert tool is not None, (name, list(found))
        assert len(tool.description or "") > 60
