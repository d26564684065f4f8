"""The application: which address has which answer."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from refunc.journal.opening import NoDescriptorError
from refunc.runs.errors import RunError
from refunc.runs.store import Store
from refunc_ui import curves, listing, names
from refunc_ui.answers import AskedWronglyError, as_json, error_of
from refunc_ui.asked import Asked
from refunc_ui.guard import Gate, Guard
from refunc_ui.held import Held
from refunc_ui.static import StaticFiles
from refunc_ui.workers import BusyError, Workers

Work = Callable[[Held, Asked], Any]


def application(store: Store, gate: Gate) -> ASGIApp:
    """Return the application that shows the runs of *store* to those who pass *gate*."""
    return Guard(_Pages(store).app, gate)


class _Pages:
    def __init__(self, store: Store) -> None:
        self.held = Held(store)
        self.workers = Workers()
        self.static = StaticFiles()
        self.app = Starlette(
            routes=[
                Route("/api/runs", self._json(lambda held, asked: listing.table(held, listing.Wanted.of(asked)))),
                Route("/api/names", self._json(lambda held, asked: names.names(held))),
                Route("/api/metrics", self._json(names.metrics)),
                Route("/api/curves", self._curves),
                Route("/{path:path}", self._file),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self.workers.start()
        try:
            yield
        finally:
            self.workers.stop()

    def _json(self, work: Work) -> Callable[[Request], Any]:
        async def answer(request: Request) -> Response:
            return await self._answered(request, work, as_json)

        return answer

    async def _curves(self, request: Request) -> Response:
        def work(held: Held, asked: Asked) -> bytes:
            return curves.curves(held, curves.Wanted.of(asked))

        return await self._answered(request, work, lambda data: Response(data, media_type="application/octet-stream"))

    async def _answered(self, request: Request, work: Work, made: Callable[[Any], Response]) -> Response:
        try:
            return made(await self.workers.run(work, self.held, Asked(request.query_params)))
        except AskedWronglyError as error:
            return error_of(str(error), error.status, error.at)
        except (BusyError, NoDescriptorError) as error:
            return error_of(str(error), 503)
        except RunError as error:
            return error_of(error.problem, 404)
        except OSError as error:
            return error_of(f"The store cannot be read: {error}.", 503)

    async def _file(self, request: Request) -> Response:
        return self.static.answer(request.url.path, request) or error_of("There is no such page.", 404)
