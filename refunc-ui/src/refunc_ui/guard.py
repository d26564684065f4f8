"""
Who may ask: the token, the names of hosts and origins, and what a page may load.

A browser sends requests for every page that it shows. So a request counts only if it has the token, which the user got
on their terminal; if it is addressed to this machine by a name that no other site can have (else a site could resolve
its own name to this machine); and if no other site has sent it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from hmac import compare_digest
from typing import Final
from urllib.parse import parse_qsl, urlencode

import attrs
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from refunc_ui.answers import error_of

#: Addresses that begin with this and the token need no cookie, which browsers keep from frames in a notebook.
FRAMED: Final = "/t/"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'"
)
_REFUSED: Final = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>refunc</title>
<p>This page needs its token: open the address that <code>refunc ui</code> printed.</p>
</html>
"""
_HEADERS: Final = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@attrs.frozen
class Gate:
    """What a request must have: the token, and a name of this machine."""

    token: str
    #: Names of hosts besides those of this machine for itself.
    hosts: frozenset[str] = frozenset()

    def is_token(self, text: str) -> bool:
        """Whether *text* is the token; it takes the same time for any text."""
        return compare_digest(text.encode("utf-8", "replace"), self.token.encode("utf-8", "replace"))

    def is_host(self, host: str) -> bool:
        """Whether a request for *host*, with or without a port, is meant for this server."""
        name = host_name(host)
        if name in self.hosts or name == "localhost" or name.endswith(".localhost"):
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        # An address is not a name: no other site can have it. Where the server listens on one, it is in `hosts`.
        return address.is_loopback


def host_name(host: str) -> str:
    """Return the name in a `Host` header, without port and brackets, in lower case."""
    name = host.strip().lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0].rstrip(".")


def gate_for(token: str, host: str) -> Gate:
    """Return the gate of a server that listens on *host*: its own names count, besides loopback."""
    import socket

    if host in ("", "0.0.0.0", "::"):  # noqa: S104  # compared, not bound
        names = {socket.gethostname().lower(), socket.getfqdn().lower(), *_addresses()}
    else:
        names = {host_name(f"[{host}]" if ":" in host else host)}
    return Gate(token, frozenset(names))


def _addresses() -> Iterable[str]:
    """Return the addresses of this machine, as far as its own name has them."""
    import socket

    try:
        return {str(found[4][0]).lower() for found in socket.getaddrinfo(socket.gethostname(), None)}
    except OSError:
        return set()


class Guard:
    """An ASGI application that lets only such requests through to another, and adds headers to every answer."""

    def __init__(self, app: ASGIApp, gate: Gate) -> None:
        self._app = app
        self._gate = gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        scope, framed_token = _without_token(scope)
        is_framed = framed_token is not None

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                added = MutableHeaders(raw=message["headers"])
                ancestors = "" if is_framed else "; frame-ancestors 'self'"
                added.setdefault("content-security-policy", _POLICY + ancestors)
                added.setdefault("cache-control", "no-store")
                for name, value in _HEADERS.items():
                    added[name] = value
            await send(message)

        refused = self._refusal(scope, headers, framed_token)
        await (refused or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: Headers, framed_token: str | None) -> Response | None:
        """Return the answer that refuses the request, or sends it on without its token; None if it may pass."""
        path = scope["path"]
        if scope["method"] not in ("GET", "HEAD"):
            return error_of("The page only reads: GET is the only method.", 405)
        host = headers.get("host", "")
        if not self._gate.is_host(host):
            return error_of(
                f"This server does not answer for the host {host_name(host)[:100]!r}. Open it as localhost, or start "
                "`refunc ui` with --host for the name of this machine.",
                403,
            )
        if not _is_own(headers, host, is_api=path.startswith("/api/")):
            return error_of("This request comes from another site, and is refused.", 403)
        if framed_token is not None:
            return None if self._gate.is_token(framed_token) else _forbidden(path)
        query = dict(parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True))
        if not path.startswith(("/api/", "/static/")) and "token" in query:
            return (
                self._admitted(scope, query["token"], host) if self._gate.is_token(query["token"]) else _forbidden(path)
            )
        return None if self._is_authorized(headers, host) else _forbidden(path)

    def _is_authorized(self, headers: Headers, host: str) -> bool:
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self._gate.is_token(token.strip()):
            return True
        cookies: Mapping[str, str] = cookie_parser(headers.get("cookie", ""))
        return self._gate.is_token(cookies.get(_cookie_name(host), ""))

    def _admitted(self, scope: Scope, token: str, host: str) -> Response:
        """Return the answer that keeps the token in a cookie, and leads to the address without it."""
        pairs = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        rest = urlencode([(name, value) for name, value in pairs if name != "token"])
        # A path such as //other.example would be another site's address.
        path = "/" + scope["path"].lstrip("/\\")
        answer = RedirectResponse(f"{path}?{rest}" if rest else path, 303)
        answer.set_cookie(_cookie_name(host), token, path="/", httponly=True, samesite="strict")
        return answer


def _without_token(scope: Scope) -> tuple[Scope, str | None]:
    """Return the request with the token taken out of its path, and the token; None if its path has none."""
    path: str = scope["path"]
    if not path.startswith(FRAMED):
        return scope, None
    token, _, rest = path[len(FRAMED) :].partition("/")
    return {**scope, "path": f"/{rest}", "raw_path": f"/{rest}".encode()}, token


def _cookie_name(host: str) -> str:
    """Return the name of the cookie: by the port that the browser knows, which over ssh may not be this server's."""
    port = host.rpartition(":")[2]
    return f"refunc-{port if port.isascii() and port.isdecimal() else 80}"


def _is_own(headers: Headers, host: str, *, is_api: bool) -> bool:
    """Whether no other site has sent the request, by what browsers say about it."""
    origin = headers.get("origin")
    if origin is not None and origin.partition("://")[2].lower() != host.strip().lower():
        return False
    return not is_api or headers.get("sec-fetch-site", "same-origin") in ("same-origin", "none")


def _forbidden(path: str) -> Response:
    if path.startswith("/api/"):
        return error_of("The token is missing or wrong. Open the address that `refunc ui` printed.", 403)
    return HTMLResponse(_REFUSED, 403)
