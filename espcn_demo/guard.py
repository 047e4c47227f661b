"""What stands between the internet and the page: an ASGI middleware that refuses what the page never needs.

Gradio fetches any public address through the server for `/gradio_api/file=https://...`, and downloads whole a file
whose `path` in a request is an address, past its own size limit. Both are refused here, together with requests that
are too large, routes that the page does not use, and whatever in an answer would tell of the machine.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from . import answers, journal
from .limits import MEBI, Limits
from .storage import Storage

if TYPE_CHECKING:
    from fastapi import FastAPI
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

METHODS = ("GET", "HEAD", "POST", "OPTIONS", "DELETE")  # DELETE ends an MCP session
JSON_BYTES = 4 * MEBI  # a request that is no upload carries settings and file references only
MCP_BYTES = 32 * MEBI  # an MCP client may send a picture inside its request
ENVELOPE = 64 * 1024  # bytes of an upload that are not the file
SILENCE = 60.0  # seconds without a byte after which a request's body is given up
API = "/gradio_api"
UPLOAD = f"{API}/upload"
MCP = f"{API}/mcp"
UNUSED = (
    *("/monitoring", "/docs", "/redoc", "/openapi.json"),
    *(f"{API}/{name}" for name in ("monitoring", "proxy=", "vibe-", "undo-vibe-", "dev/", "profiling", "run-history")),
    *(f"{API}/{name}" for name in ("runs", "process_recording", "file/", "stream/", "component_server")),
    *(f"{API}/{name}" for name in ("custom_component", "deep_link")),
)
FULL = "The server's disk is full at the moment; please try again later."
NO_ADDRESS = "A web address cannot be used as a file here: download it and upload the file."
_RANGE = re.compile(rb"bytes=(\d{1,18}-\d{0,18}|-\d{1,18})")
_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]+:|//|\\\\)", re.IGNORECASE)


class Refused(Exception):
    """The request is answered with this status and sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Guard:
    """The middleware; see the module's docstring."""

    def __init__(self, app: ASGIApp, *, limits: Limits, storage: Storage | None = None) -> None:
        self.app, self.limits, self.storage = app, limits, storage

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check one request, then let the page answer it."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # the page uses no websockets
        answer = answers.Cleaned(send, scope)
        try:
            _check_route(scope)
            checked = await self._check_body(scope, receive, answer)
            await self.app(_one_range(scope), checked, answer)
        except Refused as refusal:
            await answer.refuse(refusal.status, str(refusal))
        except asyncio.CancelledError:
            return  # the server stops: uvicorn would log the whole stack of every page that is still open
        except ClientDisconnect:
            return  # in the middle of an upload; nobody is left to answer
        except Exception as error:
            log.error("a request failed: %s", journal.place(error))
            await answer.refuse(500, answers.SENTENCES[500])

    async def _check_body(self, scope: Scope, receive: Receive, answer: answers.Cleaned) -> Receive:
        if scope["method"] in ("GET", "HEAD", "OPTIONS"):
            return receive
        upload = scope["path"].rstrip("/") == UPLOAD
        most = self.limits.bytes + ENVELOPE if upload else self._most(scope)
        length = _header(scope, b"content-length")
        if length.isdigit() and int(length) > most:
            raise Refused(
                413,
                f"This is larger than {most / MEBI:.0f} MiB, the most accepted here: choose a smaller file.",
            )
        if upload:
            if self.storage is not None and not self.storage.has_room(int(length) if length.isdigit() else 0):
                raise Refused(503, FULL)
            return _Counted(receive, most, answer, self.storage)
        body = await _whole(_Counted(receive, most, answer))
        self._check_payload(body, scope)
        return _Replayed(body, receive)

    def _check_payload(self, body: bytes, scope: Scope) -> None:
        """Refuse a request in which a file's `path` is not a file of ours, whatever its declared content type."""
        try:
            content = json.loads(body, object_pairs_hook=self._check_object)
        except RecursionError:
            raise Refused(400, "This request is nested too deeply.") from None
        except ValueError:
            if not body:
                return
            # What cannot be checked here must not reach a parser that can read it.
            raise Refused(400, answers.SENTENCES[400]) from None
        if scope["path"].startswith(MCP):
            for call in content if isinstance(content, list) else [content]:
                parameters = call.get("params") if isinstance(call, dict) else None
                # A tool's plain strings become files when they are addresses; data: holds the file itself.
                if isinstance(parameters, dict) and _holds_address(parameters.get("arguments"), data=True):
                    raise Refused(400, NO_ADDRESS)

    def _check_object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        for key, value in pairs:  # all of them, also those that a repeated key hides
            if key != "path":
                continue
            if _holds_address(value):
                raise Refused(400, NO_ADDRESS)
            # A mounted Gradio page does not check this: `has_launched` is set by `launch` alone.
            if isinstance(value, str) and self.storage is not None and not _is_inside(value, self.storage.cache):
                raise Refused(403, "Only files that were uploaded to this page can be used.")
        return dict(pairs)

    def _most(self, scope: Scope) -> int:
        return min(self.limits.bytes, MCP_BYTES) if scope["path"].startswith(MCP) else JSON_BYTES


class _Counted:
    """Passes a request's body on until it is too long, silent for too long, or the disk it goes to is full."""

    def __init__(self, receive: Receive, most: int, answer: answers.Cleaned, storage: Storage | None = None) -> None:
        self.receive, self.left, self.answer, self.storage = receive, most, answer, storage
        self.done = False

    async def __call__(self) -> Message:
        if self.done:  # only the end of the connection is still to come, whenever that is
            return await self.receive()
        try:
            message = await asyncio.wait_for(self.receive(), SILENCE)
        except TimeoutError:
            raise self._refused(408, "Nothing has arrived for a minute; please send it again.") from None
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            raise self._refused(413, "This is larger than what is accepted here: choose a smaller file.")
        if self.storage is not None and not self.storage.has_room():  # others' uploads arrive at the same time
            raise self._refused(503, FULL)
        self.done = not message.get("more_body", False)
        return message

    def _refused(self, status: int, sentence: str) -> Refused:
        self.answer.instead = status, sentence  # the page meets the exception first and would answer with 500
        return Refused(status, sentence)


class _Replayed:
    """Gives out a body that has been read already."""

    def __init__(self, body: bytes, receive: Receive) -> None:
        self.body: bytes | None = body
        self.receive = receive

    async def __call__(self) -> Message:
        if self.body is None:
            return await self.receive()
        body, self.body = self.body, None
        return {"type": "http.request", "body": body, "more_body": False}


async def _whole(receive: _Counted) -> bytes:
    parts = []
    while not receive.done:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The connection ended in the middle of the request.")
        parts.append(message.get("body", b""))
    return b"".join(parts)


def _check_route(scope: Scope) -> None:
    path: str = scope["path"]
    if scope["method"] not in METHODS:
        raise Refused(405, "This method is not used here.")
    if path.startswith(UNUSED):
        raise Refused(404, answers.SENTENCES[404])
    _, found, wanted = path.partition("/file=")
    if found and (_ADDRESS.match(wanted) or "\0" in wanted or ".." in wanted.split("/")):
        raise Refused(403, "Only files of this page can be had here.")


def _one_range(scope: Scope) -> Scope:
    """The request without a Range header that is not one plain range: servers may ignore it, and Gradio stumbles."""
    headers = [(k, v) for k, v in scope["headers"] if k != b"range" or _RANGE.fullmatch(v)]
    return scope if len(headers) == len(scope["headers"]) else {**scope, "headers": headers}


def _holds_address(value: object, *, data: bool = False) -> bool:
    """Whether a string anywhere in `value` is a web or other address; `data` allows data: addresses."""
    if isinstance(value, dict):
        return any(_holds_address(part, data=data) for part in value.values())
    if isinstance(value, list):
        return any(_holds_address(part, data=data) for part in value)
    return isinstance(value, str) and bool(_ADDRESS.match(value)) and not (data and value.startswith("data:"))


def _is_inside(path: str, folder: Path) -> bool:
    try:
        return not path or Path(path).resolve().is_relative_to(folder.resolve())
    except (OSError, ValueError):  # too long, or a zero byte
        return False


def _header(scope: Scope, name: bytes) -> str:
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def install(app: FastAPI, limits: Limits, storage: Storage | None = None) -> None:
    """Put the guard in front of everything that `app` serves, mounted pages included."""
    app.add_middleware(Guard, limits=limits, storage=storage)
    for name in ("uvicorn.access", "httpx"):  # their lines hold addresses and file names
        logging.getLogger(name).setLevel(logging.WARNING)
    journal.install()
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
