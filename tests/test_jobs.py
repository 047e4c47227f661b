"""Which of several jobs for one place on the page goes on, in whatever order the server gets to them."""

from __future__ import annotations

from types import SimpleNamespace

from espcn_demo.sandbox import StoppedError
from espcn_demo.ui.jobs import Jobs


class Runner:
    """Jobs that go on until they are ended."""

    limits = storage = SimpleNamespace()

    def stream(self, kind, visitor, function, *args, cancelled):
        while not cancelled.is_set():
            yield kind
        raise StoppedError


def start(jobs: Jobs, kind: str, number: float = 0):
    messages = jobs.run(kind, None, print, place="image", number=number)
    return messages, next(messages, None)


def test_a_newer_job_ends_the_older_one_without_a_word():
    jobs = Jobs(Runner())
    older, first = start(jobs, "older", 1)
    newer, second = start(jobs, "newer", 2)
    assert (first, second) == ("older", "newer")
    assert list(older) == []
    assert next(newer) == "newer"


def test_an_older_event_that_comes_late_ends_nothing():
    jobs = Jobs(Runner())
    newer, _ = start(jobs, "newer", 2)
    assert not jobs.clear(None, "image", 1)  # the field was emptied for the file that the job works on
    assert start(jobs, "older", 1)[1] is None
    assert next(newer) == "newer"
    assert jobs.clear(None, "image", 3)
    assert list(newer) == []


def test_a_button_s_job_is_as_late_as_any():
    jobs = Jobs(Runner())
    upload, _ = start(jobs, "upload", 5)
    button, first = start(jobs, "button")
    assert first == "button"
    assert list(upload) == []
    assert not jobs.clear(None, "image", 4)
    assert next(button) == "button"
    assert jobs.clear(None, "image", 6)
    assert list(button) == []
