"""The page while trainings run, while it is hidden, and while the server is away."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ui.page.conftest import CHARTS, PATIENCE, Server

pytestmark = [pytest.mark.once, pytest.mark.ui]

#: A training that logs so many points for each line that it reads.
SCRIPT = """
with experiment_context("digits", "live"):
    step = 0
    while True:
        logger.log_metrics({"loss": 1 / (1 + step)}, step=step)
        logger.info("at step %d", step, step=step)
        step += 1
        wait()
"""

Training = Callable[[Path, str], "subprocess.Popen[bytes]"]


def tell(process: subprocess.Popen[bytes], count: int = 1) -> None:
    assert process.stdin is not None
    process.stdin.write(b"go\n" * count)
    process.stdin.flush()


@pytest.fixture(scope="module")
def server(serving: Callable[[str], Server]) -> Server:
    return serving("live")


def test_an_empty_store_says_what_to_do_and_a_training_appears_by_itself(
    page: Any, server: Server, training: Training
) -> None:
    page.open(server)
    page.until("document.querySelector('#table').textContent.includes('There are no runs here yet')")
    assert str(server.store) in page.ask("document.querySelector('#table').textContent")

    process = training(server.store, SCRIPT)

    page.until("[...document.querySelectorAll('#table tbody .name a')].map(e => e.textContent)", ["live"])
    page.until("document.querySelector('#table .status')?.textContent", "running")
    page.until(f"{CHARTS}[0]?.curves[0]?.y.length", 1)
    tell(process, 20)
    page.until(f"{CHARTS}[0].curves[0].y.length", 21)
    page.until("document.querySelector('#live').textContent", "live")
    process.kill()
    process.wait()
    page.until("document.querySelector('#table .status')?.textContent", "crashed")
    assert page.complaints() == []


def test_only_new_points_and_lines_come_and_none_twice(page: Any, server: Server, training: Training) -> None:
    process = training(server.store, SCRIPT.replace('"live"', '"counted"'))
    until_logged(server, "counted", 1)
    page.open(server, f"view={server.ids()['counted']}")
    page.until(f"{CHARTS}[0]?.curves[0]?.y.length", 1)
    until_listening(page)

    for count in (2, 3, 4):
        tell(process)
        page.until(f"{CHARTS}[0].curves[0].y.length", count)
        page.until("document.querySelectorAll('.line').length", count)

    assert page.ask(f"[...{CHARTS}[0].curves[0].x]") == [0, 1, 2, 3]
    assert page.texts(".line span:last-child") == [f"at step {step}" for step in range(4)]
    whole = [url for url in page.requests() if "api/curves" in url and "after=" not in url]
    assert len(whole) == 1
    assert page.complaints() == []


def test_nothing_is_asked_for_while_the_tab_is_hidden(page: Any, server: Server, training: Training) -> None:
    process = training(server.store, SCRIPT.replace('"live"', '"hidden"'))
    until_logged(server, "hidden", 1)
    page.open(server, f"view={server.ids()['hidden']}")
    page.until(f"{CHARTS}[0]?.curves[0]?.y.length", 1)
    until_listening(page)
    tell(process)
    page.until(f"{CHARTS}[0].curves[0].y.length", 2)

    hide(page, True)
    page.until("document.querySelector('#live').textContent", "paused")
    before = len(page.requests())
    tell(process, 5)
    until_logged(server, "hidden", 7)
    assert page.requests()[before:] == []
    assert page.ask(f"{CHARTS}[0].curves[0].y.length") == 2

    hide(page, False)
    page.until(f"{CHARTS}[0].curves[0].y.length", 7)
    later = page.requests()[before:]
    assert any("api/events" in url and "last_id=" in url for url in later)
    assert not any("api/curves" in url and "after=" not in url for url in later)


def test_a_page_that_is_opened_in_a_hidden_tab_asks_for_nothing_until_it_is_seen(page: Any, server: Server) -> None:
    script = "Object.defineProperty(document, 'hidden', {value: true, configurable: true})"
    added = page.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        page.open(server)
        page.until("document.querySelectorAll('#controls select').length > 2")
        page.driver.execute_async_script("setTimeout(arguments[0], 300)")  # longer than a stream of changes waits
        assert [url for url in page.requests() if "/api/" in url] == []
    finally:
        page.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)

    hide(page, False)
    page.until("document.querySelectorAll('#table tbody .name a').length > 0")
    page.until("document.querySelector('#live').textContent", "live")


def test_nothing_is_asked_for_twice_when_the_page_is_opened(
    page: Any, server: Server, write: Callable[..., None]
) -> None:
    page.open(server)
    page.until("document.querySelector('#live').textContent", "live")
    until_listening(page)
    write(
        server.store,
        """
        with experiment_context("digits", "once"):
            logger.log_hyperparams({"lr": 0.1})
            logger.log_metrics({"loss": 1.0}, step=0)
        """,
    )
    page.until("document.querySelector('#table tbody .name a')?.textContent", "once")
    page.open(server)
    page.drawn(1)
    until_listening(page)
    page.until("[...document.querySelectorAll('#table thead th')].map(e => e.textContent).slice(-2)", ["lr", "loss"])

    asked = [url.partition("/api/")[2].partition("?")[0] for url in page.requests() if "/api/" in url]
    assert {path: asked.count(path) for path in asked if path != "events"} == {
        "runs": 1,
        "names": 1,
        "metrics": 1,
        "curves": 1,
    }


def test_points_that_come_on_while_others_are_on_their_way_are_drawn(
    page: Any, server: Server, training: Training
) -> None:
    names = [f"at-once-{number}" for number in range(4)]
    processes = [training(server.store, SCRIPT.replace('"live"', f'"{name}"')) for name in names]
    for name in names:
        until_logged(server, name, 1)
    ids = server.ids()
    page.open(server, "&".join(f"run={slot}:{ids[name]}" for slot, name in enumerate(names)) + "&smooth=0.9")
    page.until(f"{CHARTS}[0]?.curves.length", 4)
    until_listening(page)

    for _ in range(5):
        for process in processes:
            tell(process)
    page.until(f"{CHARTS}[0].curves.map(curve => curve.y.length)", [6] * 4)

    # The moving average went on as if all points had been there at once.
    values, weight = [1 / (1 + step) for step in range(6)], 0.9
    sums = [sum((1 - weight) * weight ** (at - each) * values[each] for each in range(at + 1)) for at in range(6)]
    expected = [total / (1 - weight ** (at + 1)) for at, total in enumerate(sums)]
    for smooth in page.ask(f"{CHARTS}[0].curves.map(curve => [...curve.smooth])"):
        assert smooth == pytest.approx(expected)


def until_listening(page: Any) -> None:
    """Wait until the page follows the chart that is on screen."""
    deadline = time.monotonic() + PATIENCE
    while not any("api/events" in url and "metric=loss" in url for url in page.requests()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    page.until("document.querySelector('#live').textContent", "live")


def hide(page: Any, is_hidden: bool) -> None:
    page.driver.execute_script(
        "Object.defineProperty(document, 'hidden', {value: arguments[0], configurable: true});"
        "document.dispatchEvent(new Event('visibilitychange'))",
        is_hidden,
    )


def until_logged(server: Server, name: str, count: int) -> None:
    """Wait until the server knows so many points of a run."""

    def points() -> int:
        metrics = server.ask(f"api/metrics?run={run}")["metrics"] if (run := server.ids().get(name)) else []
        return metrics[0]["points"] if metrics else 0

    deadline = time.monotonic() + PATIENCE
    while points() < count:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_new_runs_change_neither_selection_nor_colours(page: Any, server: Server, write: Callable[..., None]) -> None:
    page.open(server)
    page.until(f"{CHARTS}[0]?.curves.length > 0")
    before = page.driver.current_url
    labels = page.ask(f"{CHARTS}[0].curves.map(curve => [curve.label, curve.slot])")

    write(server.store, 'with experiment_context("digits", "newer"):\n    logger.log_metrics({"loss": 1.0}, step=0)')

    page.until("document.querySelector('#table tbody .name a').textContent", "newer")
    assert page.driver.current_url == before
    assert page.ask(f"{CHARTS}[0].curves.map(curve => [curve.label, curve.slot])") == labels


def test_a_store_that_is_moved_away_is_told_and_read_again_when_it_is_back(page: Any, server: Server) -> None:
    page.open(server)
    page.until("document.querySelectorAll('#table tbody .name a').length > 1")
    page.until("document.querySelector('#live').textContent", "live")
    names, away = page.names(), server.store.with_name("away")

    server.store.rename(away)
    try:
        page.until("document.querySelector('#gone').checkVisibility()")
        assert page.texts("#gone") == [
            "The store cannot be read: No such file or directory. The page goes on by itself."
        ]
        assert page.names() == names
    finally:
        away.rename(server.store)

    page.until("!document.querySelector('#gone').checkVisibility()")
    page.until("[...document.querySelectorAll('#table tbody .name a')].map(e => e.textContent)", names)


def test_a_server_that_is_gone_is_told_and_the_page_goes_on_when_it_is_back(
    page: Any, server: Server, training: Training
) -> None:
    process = training(server.store, SCRIPT.replace('"live"', '"lasting"'))
    until_logged(server, "lasting", 1)
    page.open(server)
    page.until(f"{CHARTS}[0]?.curves.find(curve => curve.label === 'lasting')?.y.length", 1)
    page.until("document.querySelector('#live').textContent", "live")

    server.stop()
    page.until("document.querySelector('#gone').checkVisibility()")
    assert "start it again" in page.texts("#gone")[0]
    tell(process, 3)
    server.start()

    page.until("!document.querySelector('#gone').checkVisibility()")
    page.until("document.querySelector('#live').textContent", "live")
    page.until(f"{CHARTS}[0].curves.find(curve => curve.label === 'lasting')?.y.length", 4)
    page.complaints()
