"""The page at every width and in both schemes, and for people who do not see it or use no mouse."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib.resources import files
from typing import Any

import pytest
from tests.ui.page.conftest import CHARTS, Server

pytestmark = [pytest.mark.once, pytest.mark.ui]


@pytest.fixture(scope="module")
def server(serving: Callable[[str], Server], write: Callable[..., None]) -> Server:
    server = serving("layout")
    write(
        server.store,
        """
        for number in range(9):
            with experiment_context("digits", f"a_run_with_a_rather_long_name_{number}"):
                logger.log_hyperparams({"lr": 0.1 * number, "model": {"name": "resnet", "depth": number}})
                logger.add_tags({"team": "vision"})
                for step in range(50):
                    logger.log_metrics({"train/loss": 1 / (step + 1), "val/accuracy": step / 50}, step=step)
                    logger.info("at step %d", step, step=step)
                logger.warning("a line that is so long that it does not fit into a line of the page " * 3)
        """,
    )
    return server


@pytest.mark.parametrize(
    ("width", "scheme"), [(390, "light"), (390, "dark"), (1280, "light"), (1280, "dark"), (2560, "light")]
)
def test_the_page_fits_and_can_be_read(page: Any, server: Server, width: int, scheme: str) -> None:
    page.open(server, width=width, scheme=scheme)
    page.until(f"{CHARTS}.filter(chart => chart.plot).length > 0")
    page.until("document.querySelectorAll('#table thead th').length > 6")
    page.click("#columns-button")
    page.until("document.querySelectorAll('#columns .names label').length > 3")

    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask(
        "[...document.querySelectorAll('.chart')].every(e => e.getBoundingClientRect().right <= innerWidth)"
    )
    is_dark = page.ask("getComputedStyle(document.body).backgroundColor") == "rgb(20, 23, 27)"
    assert is_dark == (scheme == "dark")
    assert page.faults() == []

    page.open(server, f"view={next(iter(server.ids().values()))}", width=width, scheme=scheme)
    page.until("document.querySelectorAll('.facts section').length > 3 && document.querySelectorAll('.line').length")
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.faults() == []


def test_the_scheme_may_change_while_the_page_is_open(page: Any, server: Server) -> None:
    page.open(server, scheme="light")
    page.drawn(2)
    light = page.ask(f"{CHARTS}[0].plot.axes[0].stroke()")

    features = [{"name": "prefers-color-scheme", "value": "dark"}]
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    page.until(f"{CHARTS}[0].plot.axes[0].stroke() !== '{light}'")


def test_a_chart_is_a_sentence_for_people_who_do_not_see_it(page: Any, server: Server) -> None:
    page.open(server)
    page.drawn(2)

    said = page.ask("document.querySelector('.chart-plot').getAttribute('aria-label')")

    assert said.startswith(
        "train/loss: 5 curves. a_run_with_a_rather_long_name_8: from 0.02 to 1, last 0.02 at step 49"
    )
    assert "Arrow keys move the cursor" in said


def test_the_first_load_is_small(server: Server) -> None:
    """All that a browser loads before the runs: at most 100 KB, compressed."""
    import re
    import urllib.request

    def size(path: str) -> tuple[int, str]:
        headers = {"Authorization": "Bearer t0ken", "Accept-Encoding": "gzip"}
        with urllib.request.urlopen(
            urllib.request.Request(server.address + path, headers=headers), timeout=30
        ) as answer:
            data = answer.read()
        import gzip

        return len(data), gzip.decompress(data).decode() if data[:2] == b"\x1f\x8b" else data.decode()

    sizes: dict[str, int] = {}
    left = [""]
    while left:
        path = left.pop()
        if path in sizes:
            continue
        sizes[path], text = size(path)
        folder = path.rpartition("/")[0]
        if path.endswith(".js"):
            left += [f"{folder}/{name}" for name in re.findall(r'from "\./([\w/.]+)"', text)]
        elif not path:
            left += re.findall(r'(?:src|href)="(static/[^"]+)"', text)
    assert len(sizes) > 20
    assert sum(sizes.values()) < 100_000, sizes


def test_all_modules_are_asked_for_at_once() -> None:
    page, charts = files("refunc_ui") / "page", files("refunc_commands") / "charts"
    text = page.joinpath("index.html").read_text("utf-8")
    there = {f"static/{each.name}" for each in page.iterdir() if each.name.endswith(".js") and each.name != "main.js"}
    there |= {f"static/charts/{each.name}" for each in charts.iterdir() if each.name.endswith(".js")}

    assert set(re.findall('rel="modulepreload" href="([^"]+)"', text)) == there - {"static/charts/uplot.js"}
