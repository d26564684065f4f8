"""Who may ask: only with the token, by a name of this machine, and from no other site; and nothing but reading."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.ui

TOKEN = "the-token"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, start: Callable[..., Any], train: Callable[..., None]) -> Any:
    store = tmp_path_factory.mktemp("guarded") / "experiments"
    train(store, "with run('one'): logger.log_metrics({'loss': 1.0}, step=1)")
    return start(store)


ADDRESSES = [
    "/",
    "/static/main.js",
    "/api/runs",
    "/api/names",
    "/api/curves?metric=loss",
    "/api/events",
    "/api/nothing",
]


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer wrong"},
        {"authorization": f"Basic {TOKEN}"},
        {"authorization": "Bearer "},
        {"cookie": "refunc-1=the-token"},
    ],
)
def test_without_the_token_nothing_is_answered(server: Any, path: str, headers: dict[str, str]) -> None:
    answer = server.get(path, headers)

    assert answer.status == 403
    if path.startswith("/api"):
        assert answer.json["error"] == "The token is missing or wrong. Open the address that `refunc ui` printed."
    else:
        assert b"open the address that <code>refunc ui</code> printed" in answer.body
    assert b"one" not in answer.body.replace(b"<p>This page needs its token", b"")


def test_the_address_with_the_token_becomes_a_cookie_and_an_address_without_it(server: Any) -> None:
    answer = server.get(f"/?a=1&token={TOKEN}&b=%26", {})

    assert (answer.status, answer.headers["location"]) == (303, "/?a=1&b=%26")
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith(f"refunc-{server.port}={TOKEN};")
    assert {"HttpOnly", "Path=/", "SameSite=strict"} <= set(cookie.split("; "))
    assert server.get("/api/runs", {"cookie": cookie.partition(";")[0]}).status == 200
    assert server.get("/?token=wrong", {}).status == 403
    # An address of another site that looks like a path.
    assert server.get(f"//other.example/?token={TOKEN}", {}).headers["location"] == "/other.example/"


def test_over_ssh_with_another_port_the_cookie_is_that_of_the_port_in_the_browser(server: Any) -> None:
    answer = server.get(f"/?token={TOKEN}", {"host": "localhost:9000"})

    assert answer.headers["set-cookie"].startswith("refunc-9000=")
    cookie = {"cookie": answer.headers["set-cookie"].partition(";")[0], "host": "localhost:9000"}
    assert server.get("/api/runs", cookie).status == 200


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:{}", 200),
        ("127.0.0.1:{}", 200),
        ("[::1]:{}", 200),
        ("LOCALHOST", 200),
        ("evil.example:{}", 403),
        ("localhost.evil.example:{}", 403),
        ("127.0.0.1.evil.example", 403),
        ("10.0.0.1:{}", 403),
        ("", 403),
    ],
)
def test_only_names_of_this_machine_are_answered(server: Any, host: str, status: int) -> None:
    """A site may resolve its own name to this machine; then its pages would be of one origin with this server."""
    headers = {"authorization": f"Bearer {TOKEN}", "host": host.format(server.port)}

    assert server.get("/api/runs", headers).status == status


@pytest.mark.parametrize(
    ("name", "value", "status"),
    [
        ("origin", "http://localhost:{}", 200),
        ("origin", "https://evil.example", 403),
        ("origin", "http://localhost:1", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "same-origin", 200),
        ("sec-fetch-site", "none", 200),
        ("sec-fetch-site", "cross-site", 403),
        # Another server of this machine, whose pages get the cookie.
        ("sec-fetch-site", "same-site", 403),
    ],
)
def test_other_sites_are_refused(server: Any, name: str, value: str, status: int) -> None:
    headers = {
        "authorization": f"Bearer {TOKEN}",
        "host": f"localhost:{server.port}",
        name: value.format(server.port),
    }

    assert server.get("/api/runs", headers).status == status


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_can_be_changed(server: Any, method: str) -> None:
    answer = server.get("/api/runs", method=method)

    assert (answer.status, answer.json["error"]) == (405, "The page only reads: GET is the only method.")
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("path", ["/", "/api/runs", "/api/nothing", "/no/such/page"])
def test_every_answer_says_what_a_browser_may_do_with_it(server: Any, path: str) -> None:
    for headers in (None, {}):
        found = server.get(path, headers).headers
        policy = dict(part.split(" ", 1) for part in found["content-security-policy"].split("; "))

        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'self'"
        assert "unsafe" not in found["content-security-policy"]
        assert found["x-content-type-options"] == "nosniff"
        assert found["referrer-policy"] == "no-referrer"
        assert found["cache-control"] == ("no-cache" if (path, headers) == ("/", None) else "no-store")


def test_in_a_frame_of_a_notebook_the_token_stands_in_the_path(server: Any) -> None:
    page = server.get(f"/t/{TOKEN}/", {})

    assert (page.status, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "frame-ancestors" not in page.headers["content-security-policy"]
    assert server.get(f"/t/{TOKEN}/api/runs", {}).json["total"] == 1
    assert server.get("/t/wrong/api/runs", {}).status == 403
    assert server.get("/t//api/runs", {}).status == 403


def test_files_of_the_page_are_compressed_and_sent_once(server: Any) -> None:
    plain = server.get("/")
    headers = {"authorization": f"Bearer {TOKEN}", "accept-encoding": "gzip"}
    again = server.get("/", headers | {"if-none-match": plain.headers["etag"]})

    assert plain.body.startswith(b"<!doctype html>")
    assert (again.status, again.body, again.headers["etag"]) == (304, b"", plain.headers["etag"])
    for path in ("/static/../answers.py", "/static/%2e%2e/answers.py", "/static//etc/passwd", "/answers.py"):
        assert server.get(path).status == 404


def test_a_server_for_other_machines_answers_by_its_own_names(
    tmp_path: Path, start: Callable[..., Any], train: Callable[..., None]
) -> None:
    import socket

    (tmp_path / "experiments").mkdir()
    server = start(tmp_path / "experiments", "--host", "0.0.0.0")
    headers = {"authorization": f"Bearer {TOKEN}"}

    assert server.get("/api/runs", headers | {"host": f"{socket.gethostname()}:{server.port}"}).status == 200
    assert server.get("/api/runs", headers | {"host": "evil.example"}).status == 403
