"""The application: which address has which answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from refunc.journal.opening import NoDescriptorError
from refunc.runs.errors import RunError
from refunc.runs.store import Store
from refunc_ui import artifacts, curves, listing, log_lines, names, one_run
from refunc_ui.ahead import Ahead
from refunc_ui.answers import AskedWronglyError, Json, error_of
from refunc_ui.asked import Asked
from refunc_ui.events import Streams
from refunc_ui.guard import Gate, Guard
from refunc_ui.held import Held
from refunc_ui.sending import LargeResponse, Places
from refunc_ui.static import StaticFiles
from refunc_ui.wanted_curves import Wanted
from refunc_ui.watching import Watch
from refunc_ui.workers import BusyError, Workers

Work = Callable[[Held, Asked], Any]


class Application:
    """The application that shows the runs of *store* to those who pass *gate*."""

    def __init__(self, store: Store, gate: Gate) -> None:
        self._pages = _Pages(store)
        self._guard = Guard(self._pages.app, gate)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await self._guard(scope, receive, send)

    def end_streams(self) -> None:
        """End all streams of events, for which a server that ends would wait."""
        self._pages.streams.stop()


class _Pages:
    def __init__(self, store: Store) -> None:
        self.held = Held(store)
        self.workers = Workers()
        self.watch = Watch(self.held)
        self.streams = Streams(self.watch)
        self.ahead = Ahead(self.held, self.watch.tell)
        self.static = StaticFiles()
        self.places = Places()
        self.app = Starlette(
            routes=[
                Route("/api/runs", self._json(self._table)),
                Route("/api/names", self._json(lambda held, asked: names.names(held))),
                Route("/api/metrics", self._json(names.metrics)),
                Route("/api/curves", self._curves),
                Route("/api/run", self._json(one_run.one_run)),
                Route("/api/lines", self._json(log_lines.lines)),
                Route("/api/artifacts", self._json(artifacts.artifacts)),
                Route("/api/artifact", self._artifact),
                Route("/api/events", self._events),
                Route("/{path:path}", self._file),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.workers.start()
        self.watch.start()
        self.ahead.start()
        try:
            yield
        finally:
            self.ahead.stop()
            self.watch.stop()
            self.workers.stop()

    def _json(self, work: Work) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            accepted = request.headers.get("accept-encoding", "")
            return await self._answered(
                request, lambda held, asked: Json.of(work(held, asked), accepted), Json.response
            )

        return answer

    def _table(self, held: Held, asked: Asked) -> dict[str, Any]:
        number = self.watch.number
        self.watch.begin_at(held.entries())
        table, unread = listing.table(held, listing.Wanted.of(asked))
        if unread:
            self.ahead.read(unread)
        return {"version": number, "place": self.watch.place_at(number), **table}

    async def _curves(self, request: Request) -> Response:
        def work(held: Held, asked: Asked) -> bytes:
            return curves.curves(held, Wanted.of(asked))

        try:
            free = await self.places.take()
        except BusyError as error:
            return error_of(str(error), 503)
        try:
            answer = await self._answered(request, work, lambda data: LargeResponse(data, free))
        except BaseException:
            free()
            raise
        if not isinstance(answer, LargeResponse):  # an error; else it does so when it is sent
            free()
        return answer

    async def _answered(self, request: Request, work: Work, made: Callable[[Any], Response]) -> Response:
        try:
            return made(await self.workers.run(work, self.held, Asked(request.query_params)))
        except AskedWronglyError as error:
            return error_of(str(error), error.status, error.at, error.name)
        except (BusyError, NoDescriptorError) as error:
            return error_of(str(error), 503)
        except RunError as error:
            return error_of(error.problem, 404)
        except OSError as error:
            return error_of(f"The store cannot be read: {error.strerror or error}.", 503)

    async def _artifact(self, request: Request) -> Response:
        def sent(file: artifacts.Sent) -> Response:
            headers = {"content-length": str(file.size), "content-security-policy": "sandbox; default-src 'none'"}
            if file.name is not None:
                headers["content-disposition"] = f"attachment; filename*=UTF-8''{quote(file.name, safe='')}"
            return StreamingResponse(self._chunks(file), media_type=file.kind, headers=headers)

        return await self._answered(request, artifacts.artifact, sent)

    async def _chunks(self, file: artifacts.Sent) -> AsyncIterator[bytes]:
        with file.file:
            chunks = file.chunks()
            while data := await self.workers.run(lambda: next(chunks, b"")):
                yield data

    async def _events(self, request: Request) -> Response:
        client = request.client.host if request.client is not None else ""
        try:
            stream = self.streams.open(client, Asked(request.query_params), request.headers.get("last-event-id"))
        except AskedWronglyError as error:
            return error_of(str(error), error.status)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"x-accel-buffering": "no"})

    async def _file(self, request: Request) -> Response:
        return self.static.answer(request.url.path, request) or error_of("There is no such page.", 404)
