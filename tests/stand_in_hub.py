"""A loopback stand-in for the Hugging Face Hub, which misbehaves on request.

    with StandInHub({"espcn_x2.safetensors": data, "espcn_x2.json": card}) as hub:
        ... HF_ENDPOINT=hub.endpoint ...
        hub.mood = "hang"

Moods: "well", "refuse" (closed port), "hang" (accepts and never answers), "slow" (one byte a second), "missing" (404),
"no repository", "no revision", "private" (401), "broken" (500), "truncated" (less than promised), "html" (a login
page instead of the file). A repository named after a mood, with dashes, is always in it.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
ERRORS = {
    "missing": (404, "EntryNotFound"),
    "no repository": (404, "RepoNotFound"),
    "no revision": (404, "RevisionNotFound"),
    "private": (401, "RepoNotFound"),
    "broken": (500, "Internal"),
}
MOODS = (*ERRORS, "hang", "slow", "truncated", "html")


class StandInHub:
    """Serves `files` as `/{owner}/{name}/resolve/{revision}/{file}` and takes what is published."""

    def __init__(self, files: dict[str, bytes] | None = None) -> None:
        self.files = files or {}
        self.mood = "well"
        self.requests: list[str] = []
        self.created: list[dict] = []
        self.commits: list[list[dict]] = []
        self.variables: list[dict] = []
        self.stopped = threading.Event()
        handler = type("Bound", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> StandInHub:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()

    def refuse(self) -> None:
        """Close the port: connections are refused from now on."""
        self.__exit__()


class _Handler(BaseHTTPRequestHandler):
    hub: StandInHub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._serve(body=False)

    def do_GET(self) -> None:
        self._serve(body=True)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        path = urlsplit(self.path).path
        self.hub.requests.append(f"POST {path}")
        if path == "/api/repos/create":
            self.hub.created.append(json.loads(body))
            name = self.hub.created[-1]["name"]
            self._json({"url": f"{self.hub.endpoint}/spaces/owner/{name}", "id": f"owner/{name}"})
        elif path.endswith("/variables"):
            self.hub.variables.append(json.loads(body))
            self._json({})
        elif "/preupload/" in path:
            wanted = json.loads(body)["files"]
            self._json({"files": [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in wanted]})
        elif "/commit/" in path:
            self.hub.commits.append([json.loads(line) for line in body.splitlines()])
            self._json({"commitUrl": f"{self.hub.endpoint}/c/{COMMIT}", "commitOid": COMMIT, "success": True})
        elif path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        else:
            self._json({}, status=404)

    def _serve(self, *, body: bool) -> None:
        hub, path = self.hub, unquote(urlsplit(self.path).path)
        hub.requests.append(f"{self.command} {path}")
        self.mood = next((mood for mood in MOODS if f"/{mood.replace(' ', '-')}/" in path), hub.mood)
        if self.mood == "hang":
            hub.stopped.wait(60)
            self.close_connection = True
            return
        if path.startswith("/api/"):
            self._json({"id": "owner/name", "sha": COMMIT, "siblings": [], "private": False, "name": "owner"})
            return
        if self.mood in ERRORS:
            status, code = ERRORS[self.mood]
            self._json({"error": "secret-of-the-hub"}, status=status, code=code)
            return
        data = hub.files.get(path.partition("/resolve/")[2].partition("/")[2])
        if data is None:
            self._json({}, status=404, code="EntryNotFound")
            return
        if self.mood == "html":
            data = b"<html>please log in</html>"
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if body:
            self._send(data)

    def _send(self, data: bytes) -> None:
        if self.mood == "truncated":
            data = data[: len(data) // 2]
            self.close_connection = True
        pieces = [data[i : i + 1] for i in range(len(data))] if self.mood == "slow" else [data]
        for piece in pieces:
            try:
                self.wfile.write(piece)
                self.wfile.flush()
            except OSError:
                return
            if self.mood == "slow" and self.hub.stopped.wait(1):
                self.close_connection = True
                return

    def _json(self, content: object, *, status: int = 200, code: str | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


if __name__ == "__main__":
    with StandInHub() as running:
        print(running.endpoint, flush=True)
        time.sleep(3_600)
