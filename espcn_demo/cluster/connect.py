"""Reaching a Ray cluster, or starting one of one's own; what goes wrong becomes one sentence, in bounded time."""

from __future__ import annotations

import logging
import os
import re
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

from espcn_demo.errors import InputError

PORT = 6379  # of `ray start --head`
ANSWER = 10.0  # seconds to accept a connection
JOIN = 60.0  # seconds to become part of the cluster
STORE = 200 << 20  # bytes of a cluster of one's own for objects on their way
INSTALL = "Ray is not installed: install it with `pip install 'espcn_demo[ray]'`, or leave out --on."


@dataclass(frozen=True)
class Address:
    """Where the work is done; a `host` of None is a cluster on this machine, started for the run."""

    host: str | None
    port: int = PORT

    def __str__(self) -> str:
        return "this machine" if self.host is None else f"{self.host}:{self.port}"


def is_remote(on: str) -> bool:
    """Whether `--on` means Ray.

    Raises:
        InputError: it is neither "local" nor an address.
    """
    return on != "local" and parse(on) is not None


def parse(on: str) -> Address:
    """The address in "ray" or "ray://HOST[:PORT]"; "ray" alone follows RAY_ADDRESS when that is set.

    Raises:
        InputError: anything else.
    """
    given = os.environ.get("RAY_ADDRESS", "").removeprefix("ray://")
    text = given if on == "ray" and given not in ("", "local", "auto") else on.removeprefix("ray").removeprefix("://")
    if on == "ray" and text in ("", "ray"):
        return Address(None)
    found = re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/\[\]]+)(?::(\d{1,5}))?", text)
    if not (on == "ray" or on.startswith("ray://")) or found is None or not 0 < int(found[2] or PORT) < 65536:
        raise InputError(f"--on {on!r} is not understood: give local, ray or ray://HOST:PORT.")
    return Address(found[1].strip("[]"), int(found[2] or PORT))


@contextmanager
def connected(on: str) -> Iterator[Any]:
    """The module `ray`, connected; a connection that was there before is used and left open.

    Raises:
        InputError: Ray is missing, nobody answers, versions differ, or this machine is not part of the cluster.
    """
    address = parse(on)
    _prepare(address)
    ray = _import()
    if ray.is_initialized():
        yield ray
        return
    _hush()
    handler = signal.getsignal(signal.SIGTERM)  # Ray replaces it
    if address.host is None:
        _start(ray)
    else:
        _knock(address)
        _within(JOIN, lambda: _join(ray, address), address)
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
    try:
        yield ray
    finally:
        ray.shutdown()


def _prepare(address: Address) -> None:
    """Ray reads its environment when it is imported."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if address.host is None:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # nothing but this machine: loopback only
    elif "RAY_AUTH_MODE" not in os.environ and _has_token():
        os.environ["RAY_AUTH_MODE"] = "token"


def _has_token() -> bool:
    named = os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH")
    return bool(named) or (Path.home() / ".ray" / "auth_token").is_file()


def _import() -> ModuleType:
    try:
        return import_module("ray")
    except ImportError as error:
        raise InputError(INSTALL) from error


def _hush() -> None:
    """Keep Ray's messages off stdout, where the report goes; what matters of them is in the retries.

    Ray offers no option for what its machines say of workers that died, only this switch of its debugger.
    """
    inner: Any = import_module("ray._private.worker")
    if hasattr(inner, "_worker_logs_enabled"):
        inner._worker_logs_enabled = False


def _start(ray: ModuleType) -> None:
    from espcn_demo.backends.machine import granted_cores

    try:
        ray.init(
            address="local",
            num_cpus=granted_cores(),
            include_dashboard=False,
            object_store_memory=STORE,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except Exception as error:  # a subprocess of Ray's failed in whatever way
        raise InputError(f"Ray does not start on this machine: {_first_line(error)}.") from error


def _knock(address: Address) -> None:
    """Whether anything listens there at all: Ray itself would try for minutes."""
    assert address.host is not None
    try:
        socket.create_connection((address.host, address.port), timeout=ANSWER).close()
    except OSError as error:
        why = "does not answer" if isinstance(error, TimeoutError) else str(error.strerror or error).lower()
        raise InputError(
            f"no Ray cluster can be reached at {address} ({why}): start one with `ray start --head`, "
            "or check host and port."
        ) from error


def _join(ray: ModuleType, address: Address) -> None:
    ray.init(address=str(address), log_to_driver=False, logging_level=logging.ERROR)


def _within(seconds: float, join: Callable[[], None], address: Address) -> None:
    """Join in bounded time: Ray waits without end for a program that listens and is no Ray."""
    failure: list[BaseException] = []

    def attempt() -> None:
        try:
            join()
        except BaseException as error:  # is raised below, in the caller's thread
            failure.append(error)

    thread = threading.Thread(target=attempt, name="espcn-join", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        raise InputError(f"what listens at {address} does not answer as a Ray cluster: check host and port.")
    if failure:
        if not isinstance(failure[0], Exception):
            raise failure[0]
        raise InputError(_why(failure[0], address)) from failure[0]


def _why(error: Exception, address: Address) -> str:
    text = str(error)
    if "ersion mismatch" in text:
        found = [f"{name} {number}" for name, number in re.findall(r"(Ray|Python): ([\w.]+)", text)]
        versions = f" ({', '.join(found[:2])} there; {', '.join(found[2:])} here)" if len(found) == 4 else ""
        return (
            f"the cluster at {address} runs another version of Ray or Python than this machine{versions}: "
            "install the same on both."
        )
    if "uthentic" in text:
        return (
            f"the cluster at {address} asks for its token: set RAY_AUTH_MODE=token and copy the cluster's "
            "~/.ray/auth_token, or set RAY_AUTH_TOKEN."
        )
    if "node" in text.lower() and ("find" in text or "not" in text):
        return (
            f"this machine is not part of the cluster at {address}: "
            f"run `ray start --address={address} --num-cpus=0` on it first."
        )
    return f"the Ray cluster at {address} cannot be joined: {_first_line(error)}."


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
