"""A few seconds of the load script: every kind of visitor's action, and nothing mixed up; see load.py for the rest."""

import socket

import pytest

from . import load


@pytest.mark.slow
def test_a_few_visitors(capfd):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    code = load.main(["--brief", "--visitors", "3", "--seconds", "4", "--port", str(port)])
    assert code == 0, capfd.readouterr().err
