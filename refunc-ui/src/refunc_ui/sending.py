"""
Large answers on their way: how many bytes of them are in memory at once, whatever clients do.

A client that reads slowly, or not at all, has the server keep its answer. So no new one is made while too many are
kept, and a client that takes longer than it may is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from refunc_ui.workers import BusyError

#: The bytes of all answers that are being sent at which no further one is made.
_MOST_BYTES: Final = 24 << 20
#: Seconds that a request waits for that, and that a client has to take its answer.
_PATIENCE: Final = 10.0
_LONGEST: Final = 60.0


class Sending:
    """The answers that are being sent."""

    def __init__(self, most_bytes: int = _MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._changed = asyncio.Condition()

    async def wait(self) -> None:
        """
        Wait until there is room for one more answer.

        Raises:
            BusyError: There was none for too long.
        """
        try:
            async with self._changed:
                await asyncio.wait_for(self._changed.wait_for(lambda: self._bytes < self._most_bytes), _PATIENCE)
        except (asyncio.TimeoutError, TimeoutError):
            raise BusyError from None

    @asynccontextmanager
    async def counted(self, size: int) -> AsyncIterator[None]:
        """Count an answer of *size* bytes until the block ends."""
        self._bytes += size
        try:
            yield
        finally:
            self._bytes -= size
            async with self._changed:
                self._changed.notify_all()


class LargeResponse(Response):
    """An answer that is counted while it is sent, and given up if its client takes too long."""

    def __init__(self, body: bytes, sending: Sending) -> None:
        super().__init__(body, media_type="application/octet-stream")
        self._sending = sending

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        async with self._sending.counted(len(self.body)):
            try:
                await asyncio.wait_for(super().__call__(scope, receive, send), _LONGEST)
            except (asyncio.TimeoutError, TimeoutError):
                pass  # the connection is closed with the request
