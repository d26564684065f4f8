"""
The threads that read runs, two of them, and the queue before them.

The event loop only moves bytes. A request that would wait too long is refused, with a sentence that says so: a page
that asks on later is better off than a queue that grows.
"""

from __future__ import annotations

import asyncio
import queue
import threading
import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

_Answer = TypeVar("_Answer")

_THREADS: Final = 2
#: The most requests that wait, and the most seconds that one waits for its turn.
_MOST_WAITING: Final = 64
_PATIENCE: Final = 15.0


class BusyError(Exception):
    """The server has too much to do now; the text says so to people."""

    def __init__(self) -> None:
        super().__init__("The server is busy reading other runs. Ask again in a few seconds.")


class Workers:
    """Runs work of requests in threads of its own."""

    def __init__(self, threads: int = _THREADS, most_waiting: int = _MOST_WAITING) -> None:
        self._waiting: queue.Queue[_Job | None] = queue.Queue(most_waiting)
        self._threads = [
            threading.Thread(target=self._work, name=f"refunc-ui-{number}", daemon=True) for number in range(threads)
        ]
        self._is_started = False

    def start(self) -> None:
        """Start the threads."""
        self._is_started = True
        for thread in self._threads:
            thread.start()

    def stop(self, patience: float = 1.0) -> None:
        """Let the threads end, and wait for them at most *patience* seconds."""
        if not self._is_started:
            return
        for _ in self._threads:
            try:
                self._waiting.put_nowait(None)
            except queue.Full:  # they are daemons
                break
        until = time.monotonic() + patience
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))

    async def run(self, work: Callable[..., _Answer], *arguments: Any) -> _Answer:
        """
        Return what *work* returns, or raise what it raises.

        Raises:
            BusyError: Too many requests wait, or this one has waited too long.
        """
        loop = asyncio.get_running_loop()
        job = _Job(loop, loop.create_future(), work, arguments, time.monotonic() + _PATIENCE)
        try:
            self._waiting.put_nowait(job)
        except queue.Full:
            raise BusyError from None
        answer: _Answer = await job.future
        return answer

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            job.do()


class _Job:
    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        future: asyncio.Future[Any],
        work: Callable[..., Any],
        arguments: tuple[Any, ...],
        until: float,
    ) -> None:
        self.loop = loop
        self.future = future
        self.work = work
        self.arguments = arguments
        self.until = until

    def do(self) -> None:
        if self.future.cancelled():  # the client is gone
            return
        try:
            if time.monotonic() > self.until:
                raise BusyError
            answer = self.work(*self.arguments)
        except Exception as error:
            self._hand_over(self._fail, error)
        else:
            self._hand_over(self._succeed, answer)

    def _hand_over(self, take: Callable[[Any], None], result: Any) -> None:
        try:
            self.loop.call_soon_threadsafe(take, result)
        except RuntimeError:  # the loop is closed
            pass

    def _succeed(self, answer: Any) -> None:
        if not self.future.done():
            self.future.set_result(answer)

    def _fail(self, error: Exception) -> None:
        if not self.future.done():
            self.future.set_exception(error)
