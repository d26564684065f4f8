"""A port that counts: between a browser and a server, it passes every byte on, and knows how many there were."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress


class Counter:
    """
    Passes bytes from a port of its own on to *port* of this machine, and back, and counts those of both ways.

    A browser counts requests that are over, and none of a stream or a socket that stays open; a wire counts them all.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._count = 0
        self._ready = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._ready.wait()

    def taken(self) -> int:
        """Return how many bytes there were since it was asked before."""
        count, self._count = self._count, 0
        return count

    def stop(self) -> None:
        """Close the port."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self) -> None:
        server = self._loop.run_until_complete(asyncio.start_server(self._connect, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            back, to = await asyncio.open_connection("127.0.0.1", self._to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(self._pass(reader, to), self._pass(back, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(1 << 18):
                self._count += len(data)
                writer.write(data)
                await writer.drain()
        writer.close()
