"""A store whose every string is hostile: it is shown as text, and nothing in it runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.ui.page.conftest import CHARTS, Server

pytestmark = [pytest.mark.once, pytest.mark.ui]

HOSTILE = (
    "<script>document.title='pwned'</script>",
    "</script><img src=x onerror=\"document.title='pwned'\">",
    "\"'><svg onload=document.title='pwned'>",
    "]]>--><!--\u2028\u202e\x1b[31m",
    "__proto__",
    "constructor",
    "' or '1'='1",
    "javascript:document.title='pwned'",
    "&lt;b&gt;{{7*7}}${7*7}#&run=0:x",
)


@pytest.fixture(scope="module")
def server(serving: Callable[[str], Server], write: Callable[..., None]) -> Server:
    server = serving("<img src=x onerror=alert(1)>")
    write(
        server.store,
        f"""
        Path("a.txt").write_text("<script>document.title='pwned'</script>")
        for text in {HOSTILE!r}:
            try:
                with experiment_context(text, text):
                    logger.log_hyperparams({{each: each for each in {HOSTILE!r}}})
                    logger.add_tags({{each: each for each in {HOSTILE!r}}})
                    for step in range(3):
                        logger.log_metrics(dict.fromkeys({HOSTILE!r}, float(step)), step=step)
                    logger.warning(text, extra={{text: text}})
                    logger.log_artifact("a.txt", text, name=text)
                    raise ValueError(text)
            except ValueError:
                pass
        """,
    )
    return server


def is_unharmed(page: Any, server: Server) -> bool:
    strange = (
        "[...document.querySelectorAll('*')].filter(e => [...e.attributes].some(a => /^on/i.test(a.name)) || "
        "/^javascript:/i.test(e.getAttribute('href') ?? e.getAttribute('src') ?? '')).length"
    )
    assert page.ask(strange) == 0
    assert page.ask("document.querySelectorAll('script').length") == 2
    assert page.ask("Object.keys(Object.prototype).length + ({}).polluted?.length") is None
    assert page.ask("document.title") != "pwned"
    assert page.complaints() == []
    return [url for url in page.requests() if not url.startswith((server.address, "about:", "blob:"))] == []


def test_the_table_the_charts_and_every_panel_show_it_as_text(page: Any, server: Server) -> None:
    page.open(server)
    page.until(f"{CHARTS}.filter(chart => chart.plot).length >= 3")

    assert sorted(page.texts("#table .name a")) == sorted(printable(text) for text in HOSTILE)
    assert set(page.texts(".chart h3")) == {printable(text) for text in HOSTILE}
    page.click("#columns-button")
    page.until("document.querySelectorAll('#columns .names label').length >= 18")
    page.point(".u-over", 0.5)
    page.until("!document.querySelector('.chart-tip').hidden")
    page.ask(
        "(e => { e.value = [...e.options].find(o => o.value.startsWith('tags.<script')).value; "
        "e.dispatchEvent(new Event('change')); })(document.querySelector('#group'))"
    )
    page.until("document.querySelectorAll('#table tbody tr').length > 0")
    assert is_unharmed(page, server)


def test_the_view_of_a_run_shows_it_as_text(page: Any, server: Server) -> None:
    rows = server.ask("api/runs?limit=100")["rows"]
    for row in rows[:3]:
        page.open(server, f"view={row['id']}&other={rows[-1]['id']}")
        page.until(f"{CHARTS}.filter(chart => chart.plot).length >= 3")
        page.until("document.querySelectorAll('.line').length > 0 && document.querySelector('.facts pre')")
        page.until("[...document.querySelectorAll('.facts h3')].some(e => e.textContent === 'Artifacts')")
        assert is_unharmed(page, server)


def test_an_address_that_lies_changes_nothing_else(page: Any, server: Server) -> None:
    page.open(
        server, "run=0:%3Cimg%20src%3Dx%3E&run=nonsense&chart=%3Cb%3E&where=%27%3E&sort=)(&from=a&to=b&smooth=x&x=y"
    )
    page.until("document.querySelector('#where').getAttribute('aria-invalid')", "true")
    assert page.ask("document.querySelectorAll('img').length") == 0
    page.open(server, "view=%3Cimg%20src%3Dx%3E")
    page.until("document.querySelector('#view').textContent.includes('cannot be shown')")
    assert page.ask("document.querySelectorAll('img').length") == 0
    page.complaints()


def printable(text: str) -> str:
    return text
