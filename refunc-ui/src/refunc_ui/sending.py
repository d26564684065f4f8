"""
Large answers on their way: how many are in memory at once, whatever clients do.

A client that reads slowly, or not at all, has the server keep its answer. So there is a number of places: an answer has
one from before it is made until its client has taken it, and a client that takes longer than it may is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from refunc_ui.workers import BusyError

_PLACES: Final = 6
#: Seconds that a request waits for a place, and that a client has to take its answer.
_PATIENCE: Final = 10.0
_LONGEST: Final = 30.0
_PART: Final = 256 << 10


class Places:
    """The places of answers that are made or sent."""

    def __init__(self, count: int = _PLACES) -> None:
        self._free = asyncio.Semaphore(count)

    async def take(self) -> Callable[[], None]:
        """
        Wait for a place, and return what makes it free again.

        Raises:
            BusyError: None became free for too long.
        """
        try:
            await asyncio.wait_for(self._free.acquire(), _PATIENCE)
        except (asyncio.TimeoutError, TimeoutError):
            raise BusyError from None
        return self._free.release


class LargeResponse(Response):
    """An answer that makes its place free when it is sent; it is given up if its client takes too long."""

    def __init__(self, body: bytes, free: Callable[[], None]) -> None:
        super().__init__(body, media_type="application/octet-stream")
        self._free = free

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await asyncio.wait_for(self._send(send), _LONGEST)
        except (asyncio.TimeoutError, TimeoutError):
            pass  # the connection is closed with the request
        finally:
            self._free()

    async def _send(self, send: Send) -> None:
        """Send it part by part: each waits until the client has taken most of those before."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        body = memoryview(self.body)
        for begin in range(0, len(body), _PART):
            part = bytes(body[begin : begin + _PART])
            await send({"type": "http.response.body", "body": part, "more_body": begin + _PART < len(body)})
