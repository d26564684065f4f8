"""The page in a frame of another site, as in a notebook: browsers keep its cookie, and it needs none."""

from __future__ import annotations

import functools
import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.ui.page.conftest import TOKEN, Server

pytestmark = [pytest.mark.once, pytest.mark.ui]


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Callable[[str], str]]:
    """Return a function that makes a page with a frame, on another host, and returns its address."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments: Any) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()

        def with_frame(address: str) -> str:
            (tmp_path / "index.html").write_text(f'<iframe src="{address}" width=900 height=600></iframe>')
            return f"http://127.0.0.1:{server.server_address[1]}/index.html"

        yield with_frame
        server.shutdown()


def test_the_page_works_and_is_live_in_a_frame_of_another_site(
    page: Any, serving: Callable[[str], Server], write: Callable[..., None], notebook: Callable[[str], str]
) -> None:
    server = serving("framed")
    write(server.store, "with experiment_context('digits', 'one'): logger.log_metrics({'loss': 1.0}, step=1)")
    page.driver.delete_all_cookies()

    page.driver.get(notebook(f"http://localhost:{server.port}/t/{TOKEN}/"))
    page.driver.switch_to.frame(page.find("iframe"))

    page.until("[...document.querySelectorAll('#table tbody .name a')].map(e => e.textContent)", ["one"])
    assert page.ask("document.cookie") == ""
    write(server.store, "with experiment_context('digits', 'two'): logger.log_metrics({'loss': 1.0}, step=1)")
    page.until("[...document.querySelectorAll('#table tbody .name a')].map(e => e.textContent)", ["two", "one"])
    page.driver.switch_to.default_content()
