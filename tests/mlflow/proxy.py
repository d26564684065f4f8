"""A TCP proxy before a server, which fails as it is told."""

from __future__ import annotations

import socket
import struct
import threading

_ANSWER = "HTTP/1.1 {code} Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Proxy:
    """A TCP proxy on the loopback before a server: passes everything, or fails as `mode` says."""

    def __init__(self, port: int) -> None:
        self.mode = "pass"
        self.failures = 0
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.uri = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._connections: list[socket.socket] = []
        #: A connection is known, and served as the mode says, before the mode changes, or after it.
        self._lock = threading.Lock()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            mode = self.mode
            self.failures += mode != "pass"
            if mode in ("pass", "stall"):  # a stalled one is kept open, and never answered
                self._connections.append(connection)
        if mode.isdigit():
            connection.recv(65_536)
            connection.sendall(_ANSWER.format(code=mode).encode())
            connection.close()
        elif mode == "reset":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.close()
        elif mode == "pass":
            self._pass_on(connection)

    def _pass_on(self, connection: socket.socket) -> None:
        upstream = socket.create_connection(("127.0.0.1", self._port))
        with self._lock:
            self._connections.append(upstream)
        for source, sink in ((connection, upstream), (upstream, connection)):
            threading.Thread(target=self._pump, args=(source, sink), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65_536):
                sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue

    def fail(self, mode: str) -> None:
        """Fail from now on, on the connections that are open as well."""
        with self._lock:
            self.mode = mode
            self._cut()

    def cut(self) -> None:
        """Break every connection that is open."""
        with self._lock:
            self._cut()

    def _cut(self) -> None:
        while self._connections:
            connection = self._connections.pop()
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            connection.close()

    def close(self) -> None:
        self._listener.close()
        self.cut()
