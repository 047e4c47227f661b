"""The answers' side of the guard: security headers on all of them, nothing about the machine in any error."""

from __future__ import annotations

import json
import os
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import Message, Scope, Send

SENTENCES = {
    400: "This request cannot be understood; reload the page and try again.",
    403: "This is not available here.",
    404: "There is nothing here; results are removed after a while.",
    405: "This method is not used here.",
    413: "This file is larger than what is accepted here: choose a smaller one.",
    422: "This request cannot be understood; reload the page and try again.",
    500: "Something went wrong on our side; please try again.",
    503: "The server is busy; please try again in a few minutes.",
}
# Gradio's page builds functions from its templates and sets styles in scripts; everything comes from the page itself.
CONTENT = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; object-src 'none'; base-uri 'self'; form-action 'self'; frame-ancestors {}"
)
FILE_CONTENT = "default-src 'none'; style-src 'unsafe-inline'; sandbox"  # an uploaded page or SVG stays lifeless
HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "permissions-policy": "camera=(self), microphone=(), geolocation=(), payment=(), usb=()",
    "cross-origin-opener-policy": "same-origin-allow-popups",
    "cross-origin-resource-policy": "same-origin",
}
# Gradio answers a range of a file with the request's own headers, cookies and tokens among them.
FILE_HEADERS = (
    *(b"accept-ranges", b"cache-control", b"content-disposition", b"content-encoding", b"content-length"),
    *(b"content-range", b"content-type", b"etag", b"last-modified", b"vary"),
)
_PATH = re.compile(r"(?<![\w:/.])/(?!gradio_api|config|queue|mcp)[\w.~-]+/[\w.~/-]+|[A-Za-z]:\\|Traceback|File \"")


class Cleaned:
    """A `send` that adds the headers, and replaces error bodies that tell of the machine."""

    def __init__(self, send: Send, scope: Scope) -> None:
        self.send, self.path = send, scope["path"]
        self.started = False
        self.instead: tuple[int, str] | None = None  # the answer that replaces the page's own
        self._held: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        """Pass one message on; those of an error are held until its body is complete."""
        if self.instead is not None:
            return
        if message["type"] == "http.response.start":
            self.started = True
            message = {**message, "headers": self._headers(message)}
            if message["status"] >= 400:
                self._held = message
                return
        elif message["type"] == "http.response.body" and self._held is not None:
            self._body += message.get("body", b"")
            if message.get("more_body", False):
                return
            await self._error(self._held)
            return
        await self.send(message)

    async def refuse(self, status: int, sentence: str) -> None:
        """Answer with a sentence, unless an answer is under way already."""
        if self.started and self._held is None:
            return  # answered already, or in the middle of it: then the server ends the connection
        body = json.dumps({"detail": sentence}).encode()
        start: Message = {"type": "http.response.start", "status": status, "headers": []}
        start["headers"] = _replaced(self._headers(start), body)
        await self.send(start)
        await self.send({"type": "http.response.body", "body": body})

    async def _error(self, start: Message) -> None:
        status = start["status"]
        if status >= 500 and status != 503 or _PATH.search(self._body.decode("utf-8", "replace")):
            sentence = SENTENCES.get(status, SENTENCES[500 if status >= 500 else 400])
            self._body = json.dumps({"detail": sentence}).encode()
            start = {**start, "headers": _replaced(start["headers"], self._body)}
        self._held = None
        await self.send(start)
        await self.send({"type": "http.response.body", "body": self._body})

    def _headers(self, start: Message) -> list[tuple[bytes, bytes]]:
        """The answer's own headers and ours, which replace those of the same name."""
        served = "/file=" in self.path
        ours = {**HEADERS, "content-security-policy": FILE_CONTENT if served else CONTENT.format(_ancestors())}
        if not os.environ.get("SPACE_ID"):
            ours["x-frame-options"] = "SAMEORIGIN"  # a Space lives in a frame of huggingface.co
        names = {name.encode() for name in ours} | {b"server"}
        kept = [
            (name, value)
            for name, value in start["headers"]
            if name.lower() not in names and (not served or name.lower() in FILE_HEADERS)
        ]
        return [*kept, *((name.encode(), value.encode()) for name, value in ours.items())]


def _ancestors() -> str:
    return "'self' https://huggingface.co https://*.hf.space" if os.environ.get("SPACE_ID") else "'self'"


def _replaced(headers: list[tuple[bytes, bytes]], body: bytes) -> list[tuple[bytes, bytes]]:
    """The headers for another body."""
    gone = (b"content-length", b"content-type", b"content-encoding")
    kept = [(name, value) for name, value in headers if name.lower() not in gone]
    return [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
