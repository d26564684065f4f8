"""
The stream of events of one client: what has changed, and nothing twice.

An event's id is a place: the server's name and the number of the last change. A client that comes back with it gets
only what is newer; one that comes back to another server gets the state of everything that it asks for. One that wants
other runs than before gets the state of those, and, of the list of runs, what is newer than the place of its table.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from refunc_ui.answers import AskedWronglyError, json_bytes
from refunc_ui.asked import Asked
from refunc_ui.changes import Change, Listener, Watched
from refunc_ui.watching import Watch

#: Seconds after which a comment is sent, so that a connection is not taken for a dead one.
_SILENCE: Final = 15.0
#: Seconds between two messages of one stream, at least: what changes meanwhile is told together.
_PACE: Final = 0.25
#: Seconds that a stream waits for the first look at the store.
_READY: Final = 10.0
_MOST_RUNS: Final = 200
_MOST_METRICS: Final = 500
_MOST_CHANGED: Final = 1_000
#: The most streams of one client, and of all.
_MOST_OF_CLIENT: Final = 8
_MOST: Final = 64


class Streams:
    """All streams that are open."""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self._clients: list[str] = []
        self._ends: set[asyncio.Event] = set()

    def stop(self) -> None:
        """End all streams, so that the server can end. Called in the event loop."""
        for end in self._ends:
            end.set()

    def open(self, client: str, asked: Asked, last_id: str | None) -> AsyncIterator[bytes]:
        """
        Return a stream of events.

        Raises:
            AskedWronglyError: It asks for too much, or too many are open.
        """
        runs = tuple(asked.texts("run", _MOST_RUNS))
        metrics = asked.texts("metric", _MOST_METRICS)
        if len(self._clients) >= _MOST or self._clients.count(client) >= _MOST_OF_CLIENT:
            raise AskedWronglyError("Too many pages of this server are open. Close some of them.", 503)
        place = _place_of(last_id or asked.text("last") or asked.text("last_id"), self.watch.name)
        seen = _place_of(asked.text("seen"), self.watch.name)
        return self._sent(client, runs, _matcher(metrics), place, seen)

    async def _sent(
        self, client: str, runs: tuple[str, ...], is_wanted: Callable[[str], bool], place: int | None, seen: int | None
    ) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        woken, end = asyncio.Event(), asyncio.Event()
        listener = Listener(runs, is_wanted, lambda: _call(loop, woken.set))
        self._clients.append(client)
        self._ends.add(end)
        self.watch.add(listener)
        try:
            number = self.watch.number if place is None else place
            # What happens after the first event is told: later looks are compared with one before it.
            until = loop.time() + _READY
            while not self.watch.has_looked and loop.time() < until:
                await _wait_for_either(woken, end, _READY)
                woken.clear()
            if place is None:  # the state of everything as it is known; the watch tells the rest
                table = number if seen is None else seen
                yield _event("store", self._id(table), {"version": table, "changed": [], "new": 0, "gone": 0})
                number, changes, found = self.watch.since(0, runs)
                newer = [change for change in changes if change.number > table]
                for message in _messages(newer, found, 0, is_wanted, self._id(number)):
                    yield message
            while not end.is_set():
                now, changes, found = self.watch.since(number, runs)
                if now > number:
                    for message in _messages(changes, found, number, is_wanted, self._id(now)):
                        yield message
                    number = now
                    await _wait(end, _PACE)
                if not await _wait_for_either(woken, end, _SILENCE):
                    yield b": still here\n\n"
                woken.clear()
        finally:
            self.watch.remove(listener)
            self._ends.discard(end)
            self._clients.remove(client)

    def _id(self, number: int) -> str:
        return self.watch.place_at(number)


def _place_of(last_id: str | None, name: str) -> int | None:
    """Return the number in the id of the last event that a client has got, if it is one of this server."""
    if not last_id:
        return None
    server, _, number = last_id.partition("-")
    return int(number) if server == name and number.isascii() and number.isdecimal() and len(number) < 19 else None


def _matcher(metrics: list[str]) -> Callable[[str], bool]:
    names = set(metrics)
    patterns = [metric for metric in metrics if any(mark in metric for mark in "*?[")]
    return lambda metric: metric in names or any(fnmatchcase(metric, pattern) for pattern in patterns)


def _messages(
    changes: list[Change], found: dict[str, Watched], since: int, is_wanted: Callable[[str], bool], place: str
) -> Iterator[bytes]:
    if changes:
        changed = list(dict.fromkeys(name for change in changes for name in change.changed))
        data: dict[str, Any] = {
            "version": changes[-1].number,
            "changed": changed[:_MOST_CHANGED],
            "new": sum(change.new for change in changes),
            "gone": sum(change.gone for change in changes),
        }
        yield _event("store", place, data)
    yield from _of_runs(found, since, is_wanted, place)


def _of_runs(found: dict[str, Watched], since: int, is_wanted: Callable[[str], bool], place: str) -> Iterator[bytes]:
    for run, watched in found.items():
        points = {
            metric: watched.points[metric]
            for metric, number in watched.changed.items()
            if number > since and is_wanted(metric)
        }
        if points:
            yield _event("points", place, {"run": run, "metrics": points})
        if watched.lines_changed > since and watched.lines:
            yield _event("lines", place, {"run": run, "lines": watched.lines})
        if watched.status_changed > since:
            yield _event("status", place, {"run": run, "status": watched.status})


def _event(kind: str, place: str, data: Any) -> bytes:
    return b"event: %s\nid: %s\ndata: %s\n\n" % (kind.encode(), place.encode(), json_bytes(data))


def _call(loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
    try:
        loop.call_soon_threadsafe(wake)
    except RuntimeError:  # the loop is closed
        pass


async def _wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait for *event* at most some *seconds*; return whether it is set."""
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except (asyncio.TimeoutError, TimeoutError):
        pass
    return event.is_set()


async def _wait_for_either(one: asyncio.Event, other: asyncio.Event, seconds: float) -> bool:
    """Wait for one of two events at most some *seconds*; return whether one is set."""
    tasks = [asyncio.ensure_future(event.wait()) for event in (one, other)]
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    return one.is_set() or other.is_set()
