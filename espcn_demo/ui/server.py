"""The page's server: storage, the worker, the guard, health, and Gradio mounted on one FastAPI application.

`espcn serve` and app.py end here. Neither torch nor an engine is imported in this process: the worker has them, and
it starts when the page already answers.
"""

from __future__ import annotations

import gc
import logging
import os
import sys
import threading
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from .. import zerogpu
from ..errors import InputError
from ..limits import Limits

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fastapi import FastAPI

log = logging.getLogger(__name__)

PORT = 7860
WARM_AFTER = 1.0  # seconds after the start, so that the first page does not wait for the engine's imports


def serve(*, host: str | None = None, port: int | None = None, mcp: bool = False) -> None:
    """Serve the page until interrupted.

    host  address to listen on: GRADIO_SERVER_NAME, else this machine only
    port  GRADIO_SERVER_PORT, else 7860
    mcp   offer the named endpoints as MCP tools too

    Raises:
        InputError: the port is taken, a limit in the environment is no number, or the MCP extra is missing.
    """
    import uvicorn

    host = host or os.environ.get("GRADIO_SERVER_NAME") or "127.0.0.1"
    port = port or _port()
    _check_free(host, port)
    # Gradio imports matplotlib during the first event, where there is one: everybody would wait for that.
    sys.modules.setdefault("matplotlib", None)  # type: ignore[arg-type]  # None makes an import fail
    app = create(mcp=mcp)
    print(f"The page is at http://{'127.0.0.1' if host == '0.0.0.0' else host}:{port}", flush=True)
    uvicorn.run(
        app, host=host, port=port, log_level="warning", access_log=False, server_header=False,
        timeout_graceful_shutdown=2,
    )  # fmt: skip


def create(*, mcp: bool = False, limits: Limits | None = None) -> FastAPI:
    """The whole application; its lifespan starts the worker and removes its files at the end."""
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    zerogpu.prepare()
    from .. import storage as files

    limits = limits or Limits.from_environment()
    storage = files.start(limits)  # before Gradio is imported: it asks for its cache then

    import gradio as gr
    from fastapi import FastAPI

    from .. import guard, health
    from ..runner import Runner
    from . import page, theme, wording
    from .work import warm

    runner = Runner(limits, storage, warm=warm)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        starter = threading.Timer(WARM_AFTER, runner.start)
        starter.daemon = True
        starter.start()
        gc.collect()
        gc.freeze()  # what stays for good: a full collection of it would hold up every answer for 0.1 s
        try:
            yield
        finally:
            starter.cancel()
            runner.stop()

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan)
    health.install(app, runner.state)
    guard.install(app, limits, storage)
    blocks = page.build(runner)
    if mcp:
        _check_mcp()
    gr.mount_gradio_app(
        app,
        blocks,
        path="/",
        theme=theme.theme(),
        css=theme.css(),
        head=page.HEAD,
        js=page.script(),
        footer_links=["api"],
        run_history=False,
        show_error=False,
        max_file_size=limits.bytes,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=mcp,
    )
    storage.keep()
    log.info("%s is ready to be served", wording.TITLE)
    return app


def _port() -> int:
    text = os.environ.get("GRADIO_SERVER_PORT", "")
    if text and not text.isdigit():
        raise InputError(f"GRADIO_SERVER_PORT must be a port number, not {text[:20]!r}.")
    return int(text) if text else PORT


def _check_free(host: str, port: int) -> None:
    import socket

    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise InputError(f"port {port} on {host} cannot be used: choose another with --port.") from error


def _check_mcp() -> None:
    from importlib.util import find_spec

    if find_spec("mcp") is None:
        raise InputError("--mcp needs the extra: pip install 'espcn_demo[mcp]'.")
