"""A server: its port, its token, its start and its end."""

from __future__ import annotations

import errno
import secrets
import socket
import threading
from collections.abc import Callable
from typing import Final

import attrs
import uvicorn

from refunc.runs.store import Store
from refunc_ui.app import Application
from refunc_ui.guard import gate_for

#: The port that is tried first, and how many after it.
FIRST_PORT: Final = 8400
_PORTS: Final = 100


class PortTakenError(OSError):
    """The port that was asked for is taken by another process."""


@attrs.frozen
class Place:
    """Where a server listens."""

    host: str
    port: int
    token: str
    listener: socket.socket = attrs.field(repr=False)
    #: Whether the usual port was taken.
    is_moved: bool = False

    @property
    def root(self) -> str:
        """The address without the token."""
        name = "localhost" if self.host in ("0.0.0.0", "::") else self.host  # noqa: S104  # compared, not bound
        return f"http://[{name}]:{self.port}" if ":" in name else f"http://{name}:{self.port}"

    @property
    def address(self) -> str:
        """The address to open."""
        return f"{self.root}/?token={self.token}"


def place(host: str = "127.0.0.1", port: int | None = None, token: str | None = None) -> Place:
    """
    Return a place to listen at.

    Args:
        port: By default the first that is free, from 8400 on; 0 for any.
        token: By default a random one.

    Raises:
        PortTakenError: *port* was given and is taken.
        OSError: The host cannot be listened on.
    """
    token = token or secrets.token_urlsafe(24)
    if port is not None:
        try:
            listener = _listening(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            raise PortTakenError(
                error.errno, f"port {port} of {host} is taken. Choose another, or leave --port out"
            ) from None
        return Place(host, listener.getsockname()[1], token, listener)
    for number in range(FIRST_PORT, FIRST_PORT + _PORTS):
        try:
            listener = _listening(host, number)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise
            continue
        return Place(host, number, token, listener, is_moved=number != FIRST_PORT)
    listener = _listening(host, 0)
    return Place(host, listener.getsockname()[1], token, listener, is_moved=True)


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        # So that a server can be started again at once. On Linux it does not let two listen at one port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(128)
    except BaseException:
        listener.close()
        raise
    return listener


class Server(uvicorn.Server):
    """A server of one store at one place."""

    def __init__(self, store: Store, place: Place, ready: Callable[[], None] = lambda: None) -> None:
        """
        Args:
            ready: Called once it answers, and ends at a signal.
        """
        self.place = place
        self._ready = ready
        self._thread: threading.Thread | None = None
        self._application = Application(store, gate_for(place.token, place.host))
        config = uvicorn.Config(
            self._application,
            loop="asyncio",
            http="h11",
            ws="none",
            lifespan="on",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            limit_concurrency=256,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=2,
        )
        super().__init__(config)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Tell when requests are answered."""
        await super().startup(sockets)
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the streams of events first: uvicorn waits for each answer to end."""
        self._application.end_streams()
        await super().shutdown(sockets)

    def serve_here(self) -> None:
        """Serve until Ctrl-C or SIGTERM."""
        self.run(sockets=[self.place.listener])

    def serve_aside(self) -> None:
        """Serve in a thread that ends with the process."""
        self._thread = threading.Thread(target=self.serve_here, name="refunc-ui", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether `serve_aside` has started it, and it has not ended, as in the child of a fork."""
        return self._thread is not None and self._thread.is_alive()
