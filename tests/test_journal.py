"""The log: errors by kind and place, never by their text."""

import asyncio
import logging
import traceback
from types import ModuleType

import pytest

from espcn_demo import journal


@pytest.fixture
def library(monkeypatch):
    """A module of Gradio's that prints stack traces."""
    module = ModuleType("gradio.made_up")
    module.traceback = traceback
    monkeypatch.setitem(journal.sys.modules, module.__name__, module)
    yield module
    for name in journal.LOGGERS:
        logging.getLogger(name).removeFilter(journal.shortened)


def fail():
    raise ValueError("a visitor's words")


def test_printed_stack_traces_become_one_line(library, caplog, capfd):
    journal.install()
    try:
        fail()
    except ValueError:
        library.traceback.print_exc()
        assert "words" in library.traceback.format_exc()  # the rest of the module is as it was
    assert "ValueError at test_journal.py:" in caplog.text
    assert "words" not in "".join([caplog.text, *capfd.readouterr()])
    library.traceback.print_exc()  # nothing to print
    assert len(caplog.records) == 1


def test_unhandled_exceptions_lose_their_text(library, caplog):
    journal.install()
    try:
        fail()
    except ValueError as error:
        context = {"message": "Task exception was never retrieved", "exception": error, "future": "a visitor's words"}
        loop = asyncio.new_event_loop()
        loop.default_exception_handler(context)
        loop.close()
        logging.getLogger("uvicorn.error").error("Exception in ASGI application\n", exc_info=error)
    assert [record.getMessage().partition(" at ")[0] for record in caplog.records] == [
        "Task exception was never retrieved: ValueError",
        "Exception in ASGI application: ValueError",
    ]
    assert "words" not in caplog.text


def test_debugging_shows_everything(library, monkeypatch, capfd):
    monkeypatch.setenv("ESPCN_DEBUG", "1")
    journal.install()
    try:
        fail()
    except ValueError:
        library.traceback.print_exc()
    assert "words" in capfd.readouterr().err
