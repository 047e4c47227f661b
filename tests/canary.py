"""A bait for hostile files: notices when anything opens it."""

import os
import socket
import threading


class Canary:
    """A pipe that notices being opened for reading and a port that notices being called."""

    def __init__(self, folder):
        self.pipe = folder / "canary.ts"
        os.mkfifo(self.pipe)
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(0.02)
        self.port = self.listener.getsockname()[1]
        self.touched = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _watch(self):
        while not self._stop.is_set():
            self._look()

    def _look(self):
        try:
            os.close(os.open(self.pipe, os.O_WRONLY | os.O_NONBLOCK))  # only succeeds while somebody waits to read
            self.touched.append("file")
        except OSError:
            pass
        try:
            self.listener.accept()[0].close()
            self.touched.append("address")
        except TimeoutError:
            pass

    def close(self):
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            self._look()
            self.listener.close()
