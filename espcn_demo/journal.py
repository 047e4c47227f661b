"""What the server's log may hold: the kind and the place of an error, never its text.

The text of an exception can be a visitor's words, a file name or a path. Gradio prints whole stack traces for every
value that a component refuses. With ESPCN_DEBUG set everything is logged as it comes.
"""

from __future__ import annotations

import logging
import os
import sys
import traceback
from types import ModuleType

log = logging.getLogger(__name__)

LOGGERS = ("asyncio", "uvicorn.error")  # those that log exceptions nobody has caught


def install() -> None:
    """Replace the stack traces of Gradio and of the server; call it when Gradio is imported."""
    if os.environ.get("ESPCN_DEBUG"):
        return
    for name, module in tuple(sys.modules.items()):
        if name.partition(".")[0] == "gradio" and getattr(module, "traceback", None) is traceback:
            module.traceback = _Brief("traceback")  # type: ignore[attr-defined]  # their name for the module
    for name in LOGGERS:
        logging.getLogger(name).addFilter(shortened)


def place(error: BaseException) -> str:
    """'TypeError at number.py:124': where the error was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    where = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{where}"


def shortened(record: logging.LogRecord) -> bool:
    """A logging filter: the first line of a message that has an exception, and the exception's place."""
    error = record.exc_info[1] if record.exc_info else None
    if error is not None:
        record.msg, record.args = "%s: %s", (str(record.msg).partition("\n")[0], place(error))
        record.exc_info = record.exc_text = None
    return True


class _Brief(ModuleType):
    """The `traceback` module, except that what it prints is one line in the log."""

    def print_exc(self, *_: object, **__: object) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            log.warning("a request failed: %s", place(error))

    def __getattr__(self, name: str) -> object:
        return getattr(traceback, name)
