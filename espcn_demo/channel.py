"""Messages between the server and its worker process: length-prefixed pickles over two pipes.

The worker handles files from strangers, so what it sends is not trusted: the server's side unpickles only plain
values, arrays and the classes of this package.
"""

from __future__ import annotations

import io
import os
import pickle
import select
import struct
import threading
import time
from typing import Any

HEADER = struct.Struct("<Q")
LARGEST = 512 * 2**20  # bytes in one message: a preview frame is far smaller

_PLAIN = {
    "builtins": {"set", "frozenset", "complex", "bytearray", "slice", "range"},
    "collections": {"OrderedDict", "deque"},
    "datetime": {"datetime", "date", "timedelta", "timezone"},
    "fractions": {"Fraction"},
    "numpy": {"ndarray", "dtype"},
    "numpy._core.multiarray": {"_reconstruct", "scalar"},
    "numpy._core.numeric": {"_frombuffer"},
    "pathlib": {"Path", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"},
    "pathlib._local": {"Path", "PosixPath", "PurePosixPath"},
}


class _Reader(pickle.Unpickler):
    """Unpickles plain values, arrays and this package's classes; anything else is refused."""

    def find_class(self, module: str, name: str) -> object:
        own = module.split(".")[0] == __name__.split(".")[0] and "." not in name
        if not own and name not in _PLAIN.get(module, ()):
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a message")
        found = super().find_class(module, name)
        if own and not isinstance(found, type):
            raise pickle.UnpicklingError(f"{module}.{name} is not a class")
        return found


class Channel:
    """One end of the pipe pair; `receive` never blocks longer than asked."""

    def __init__(self, source: int, sink: int, *, trusted: bool) -> None:
        self.source, self.sink, self.trusted = source, sink, trusted
        self._buffer = bytearray()
        self._sending = threading.Lock()  # a job may report from several threads
        os.set_blocking(source, False)

    def send(self, message: tuple[object, ...]) -> None:
        """Write one message; raises BrokenPipeError when the other end is gone."""
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        view = memoryview(HEADER.pack(len(data)) + data)
        with self._sending:
            while view:
                view = view[os.write(self.sink, view) :]

    def receive(self, timeout: float | None = None) -> tuple[Any, ...] | None:
        """The next message, or None after `timeout` seconds without a whole one.

        Raises:
            EOFError: the other end is gone or does not keep to the protocol.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while (data := self._whole()) is None:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            if not select.select([self.source], [], [], left)[0]:
                return None
            chunk = os.read(self.source, 1 << 20)
            if not chunk:
                raise EOFError
            self._buffer += chunk
        return self._read(data)

    def _read(self, data: bytes) -> tuple[Any, ...]:
        if self.trusted:
            return tuple(pickle.loads(data))
        try:
            return tuple(_Reader(io.BytesIO(data)).load())
        except Exception as error:  # a damaged pickle can raise anything
            raise EOFError(str(error)) from error

    def _whole(self) -> bytes | None:
        if len(self._buffer) < HEADER.size:
            return None
        (length,) = HEADER.unpack_from(self._buffer)
        if length > LARGEST:
            raise EOFError("message too long")
        if len(self._buffer) < HEADER.size + length:
            return None
        data = bytes(self._buffer[HEADER.size : HEADER.size + length])
        del self._buffer[: HEADER.size + length]
        return data
