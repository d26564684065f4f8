"""The page: the table, the charts, the view of a run; with mouse and keys, and with its state in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.ui.page.conftest import CHARTS, Server

pytestmark = [pytest.mark.once, pytest.mark.ui]

RUNS = """
Path("plot.png").write_bytes(bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c49444154789c63f8cfc0000003010100c9fe92ef"
    "0000000049454e44ae426082"))
Path("notes.txt").write_text("first line of the notes")
models = [("resnet", 0.1), ("resnet", 0.2), ("vit", 0.01), ("vit", 0.02), ("vit", 0.0312345678), ("mlp", 0.5)]
for number, (model, lr) in enumerate(models):
    with experiment_context("digits", f"{model}-{number}"):
        define_metric("val/loss", goal="min")
        logger.log_hyperparams({"model": model, "lr": lr, "optimizer": {"name": "adam"}})
        logger.add_tags({"team": "vision" if number % 2 else "speech"})
        for step in range(3000):
            logger.log_metrics({"train/loss": number + 1 / (step + 1), "val/loss": number + step % 7 / 7}, step=step)
            if step % 100 == 0:
                logger.info("at step %d", step, step=step)
        logger.warning("the learning rate is high")
        logger.log_artifact("plot.png")
        logger.log_artifact("notes.txt")
try:
    with experiment_context("digits", "broken"):
        logger.log_hyperparams({"model": "mlp", "lr": 0.5})
        logger.log_metrics({"train/loss": math.nan}, step=0)
        logger.log_metrics({"train/loss": 2.5}, step=1)
        raise ZeroDivisionError("by zero")
except ZeroDivisionError:
    pass
"""


@pytest.fixture(scope="module")
def server(serving: Callable[[str], Server], write: Callable[..., None]) -> Server:
    server = serving("digits")
    write(server.store, RUNS)
    return server


@pytest.fixture
def quiet(page: Any, server: Server) -> Any:
    """The page; at the end nothing was complained of, and no other host was asked."""
    page.complaints()
    yield page
    assert page.complaints() == []
    assert [url for url in page.requests() if not url.startswith((server.address, "about:", "blob:"))] == []


def test_the_newest_runs_are_drawn_at_the_start_and_a_sentence_says_so(quiet: Any, server: Server) -> None:
    quiet.open(server)

    quiet.drawn(2)

    assert quiet.names() == ["broken", "mlp-5", "vit-4", "vit-3", "vit-2", "resnet-1", "resnet-0"]
    assert quiet.texts("#view > p") == ["These are the newest 5 runs. Select others in the table."]
    assert quiet.texts(".legend li") == ["broken", "mlp-5", "vit-4", "vit-3", "vit-2"]
    assert quiet.texts(".chart h3") == ["train/loss", "val/loss"]
    assert "5 points" not in quiet.texts("figcaption")[0]
    assert quiet.texts("#count") == ["7 runs"]
    inked = (
        "(canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".some((value, at, all) => at % 4 === 0 && all[at + 3] > 200 && Math.abs(value - all[at + 2]) > 60))"
    )
    assert quiet.ask(f"{CHARTS}.map(chart => {inked}(chart.plot.ctx.canvas))") == [True, True]


def test_a_filter_finds_runs_and_says_what_is_wrong_with_an_expression(quiet: Any, server: Server) -> None:
    quiet.open(server)
    quiet.drawn(2)

    quiet.type("#where", "params.model == 'vit' and params.lr > 0.01")
    quiet.until("document.querySelector('#count').textContent", "2 of 7 runs")
    assert quiet.names() == ["vit-4", "vit-3"]

    quiet.type("#where", "params.lr >")
    quiet.until("document.querySelector('#where').getAttribute('aria-invalid')", "true")
    assert "not valid" in quiet.texts("#where-said")[0]
    assert quiet.names() == ["vit-4", "vit-3"]

    quiet.type("#where", "params.lr > 100")
    quiet.until("document.querySelector('#table').textContent.includes('No run matches the filter')")
    quiet.click("#table button")
    quiet.until("document.querySelector('#count').textContent", "7 runs")
    assert "where" not in quiet.driver.current_url


def test_a_click_on_a_heading_sorts_and_columns_are_chosen(quiet: Any, server: Server) -> None:
    quiet.open(server)
    quiet.until("document.querySelectorAll('#table thead th').length > 6")

    quiet.click("#table thead button[title='Sort by params.lr']")
    quiet.until("document.querySelector('#table tbody .name a').textContent", "mlp-5")
    quiet.click("#table thead button[title='Sort by params.lr']")
    quiet.until("document.querySelector('#table tbody .name a').textContent", "vit-2")
    assert quiet.ask("document.querySelector('[aria-sort=ascending]').textContent") == "lr"

    quiet.click("#columns-button")
    quiet.type("#columns input[type=search]", "team")
    quiet.click("#columns label[title='tags.team'] input")
    quiet.until("[...document.querySelectorAll('#table thead th')].at(-1).textContent", "team")
    assert "column=tags.team" in quiet.driver.current_url
    assert quiet.ask("[...document.querySelectorAll('#table tbody tr td:last-child')].at(1).textContent") == "speech"


def test_runs_keep_their_colours_whatever_else_is_selected(quiet: Any, server: Server) -> None:
    quiet.open(server)
    quiet.drawn(2)
    colour = "document.querySelector('tr:has(a[title^=vit-3]) .swatch').style.getPropertyValue('--swatch')"
    before = quiet.ask(colour)

    quiet.click("tr:has(a[title^=broken]) input")
    quiet.click("tr:has(a[title^=mlp-5]) input")
    quiet.until(f"{CHARTS}[0].curves.length", 3)
    assert quiet.ask(colour) == before
    quiet.click("tr:has(a[title^=resnet-0]) input")
    quiet.until(f"{CHARTS}[0].curves.length", 4)

    assert quiet.ask(colour) == before
    slots = quiet.ask(f"{CHARTS}[0].curves.map(curve => [curve.label, curve.slot])")
    assert dict(slots)["vit-3"] == 3
    assert dict(slots)["resnet-0"] == 0


def test_a_drag_zooms_to_single_points_and_the_address_restores_the_view(quiet: Any, server: Server) -> None:
    quiet.open(server, "chart=train/loss&x=step")
    quiet.drawn(1)
    assert "of 12,002 points drawn, lowest and highest kept" in quiet.texts("figcaption")[0]

    quiet.drag(".u-over", 0.2, 0.4)
    quiet.until("location.hash.includes('from=')")
    quiet.until(f"{CHARTS}[0].drawn.length && {CHARTS}[0].drawn === {CHARTS}[0].detail?.curves")
    low, high = quiet.ask(f"{CHARTS}[0].view")
    assert 500 < low < 700 < 1_100 < high < 1_300
    quiet.until("!document.querySelector('figcaption').textContent.includes('drawn')")

    address = quiet.driver.current_url
    quiet.open(server, address.partition("#")[2])
    quiet.drawn(1)
    assert quiet.ask(f"{CHARTS}[0].view") == [low, high]
    assert quiet.texts("#view > p") == []
    assert len(quiet.ask(f"{CHARTS}[0].curves.map(curve => curve.label)")) == 5
    quiet.click("[aria-label^='Show everything']")
    quiet.until("!location.hash.includes('from=')")
    quiet.until(f"{CHARTS}[0].view", [0, 2999])


def test_groups_are_rows_and_bands(quiet: Any, server: Server) -> None:
    quiet.open(server, "chart=train/loss")
    quiet.drawn(1)
    quiet.until("document.querySelectorAll('#group option').length > 3")

    quiet.ask(
        "(e => { e.value = 'params.model'; e.dispatchEvent(new Event('change')); })(document.querySelector('#group'))"
    )
    quiet.until(
        "[...document.querySelectorAll('#table tbody th')].map(e => e.textContent).sort()", ["mlp", "resnet", "vit"]
    )
    quiet.until(f"{CHARTS}[0].curves.map(curve => curve.label).sort()", ["mlp", "vit"])

    assert quiet.ask(f"{CHARTS}[0].curves.every(curve => curve.low && curve.high)") is True
    assert quiet.ask(f"{CHARTS}[0].curves.find(curve => curve.label === 'vit').n[0]") == 3
    assert "band: ± std" in quiet.texts("figcaption")[0]
    quiet.click("[aria-label='Select the runs of resnet']")
    quiet.until(f"{CHARTS}[0].curves.map(curve => curve.label).includes('resnet')")
    # A group has the same name in the table and in a chart.
    quiet.ask(
        "(e => { e.value = 'params.lr'; e.dispatchEvent(new Event('change')); })(document.querySelector('#group'))"
    )
    quiet.until(f"{CHARTS}[0].curves.length > 1 && {CHARTS}[0].curves.every(curve => !/[a-z]{{3}}/.test(curve.label))")
    names = quiet.ask("[...document.querySelectorAll('#table tbody th')].map(e => e.textContent)")
    assert set(quiet.ask(f"{CHARTS}[0].curves.map(curve => curve.label)")) <= set(names)
    quiet.click("#rows-choice button:last-child")
    quiet.until("document.querySelectorAll('#table tbody .name a').length", 7)


def test_a_pattern_draws_all_metrics_that_match_in_one_chart(quiet: Any, server: Server) -> None:
    quiet.open(server)
    quiet.drawn(2)

    quiet.type("#controls input[type=search]", "*/loss none", enter=True)
    quiet.until(f"{CHARTS}.map(chart => chart.options.title)", ["*/loss"])
    quiet.until(f"{CHARTS}[0].curves.length", 9)

    assert quiet.texts("#view .quiet[role=status]") == ["None of the selected runs has a metric none."]
    assert "chart=" in quiet.driver.current_url


def test_smoothing_leaves_the_curve_as_it_is_behind_it(quiet: Any, server: Server) -> None:
    quiet.open(server, "chart=val/loss&smooth=0.9")
    quiet.drawn(1)

    lengths = quiet.ask(f"{CHARTS}[0].curves.map(curve => [curve.smooth.length, curve.y.length])")
    assert all(smooth == raw > 100 for smooth, raw in lengths)
    spread = "(column => Math.max(...column) - Math.min(...column))"
    raw, smooth = quiet.ask(f"(c => [{spread}(c.y), {spread}(c.smooth.slice(-50))])({CHARTS}[0].curves[0])")
    assert smooth < raw / 3


def test_a_run_has_lines_facts_and_its_error(quiet: Any, server: Server) -> None:
    ids = server.ids()
    quiet.open(server, f"view={ids['broken']}&other={ids['vit-4']}")

    quiet.until("document.querySelector('.facts pre')?.textContent.includes('ZeroDivisionError: by zero')")
    quiet.until(
        "[...document.querySelectorAll('.facts .differs th')].map(e => e.textContent).slice(0, 3)",
        ["model", "lr", "optimizer.name"],
    )
    assert quiet.texts(".run-head h2 + span") == ["failed"]
    quiet.drawn(1)
    assert quiet.ask(f"{CHARTS}[0].curves[0].odd") == [[0, "nan"]]
    assert "1 NaN or infinite" in quiet.texts("figcaption")[0]

    quiet.click(".run-head button")
    quiet.until("!location.hash.includes('view=') && document.querySelectorAll('#table tbody tr .name').length > 0")


def test_metrics_with_odd_values_and_names(
    page: Any, serving: Callable[[str], Server], write: Callable[..., None]
) -> None:
    server = serving("odd")
    write(
        server.store,
        """
with experiment_context("digits", "odd"):
    logger.log_metrics({"test/loss": math.nan, "train/loss": math.nan}, step=0)
    logger.log_metrics({"train/loss": 2.5, "train/loss.min": 7.0}, step=1)
""",
    )
    page.open(server, f"view={server.ids()['odd']}")

    rows = (
        "[...document.querySelectorAll('.facts .wide tbody tr')].map(row => [...row.children].map(e => e.textContent))"
    )
    page.until(f"{rows}.length", 3)
    assert page.ask(rows) == [
        ["test/loss", "NaN", "–", "–", "1"],
        ["train/loss", "2.5", "2.5 ~", "2.5", "2"],
        ["train/loss.min", "7", "7 ~", "7", "1"],
    ]
    assert page.texts(".facts .wide p") == ["~ the best, guessed from the name"]

    page.open(server, "column=none")
    page.click("#columns-button")
    page.type("#columns input[type=search]", "loss.min")
    page.click("#columns label[title='metrics.train/loss.min.last'] input")
    page.until("[...document.querySelectorAll('#table tbody td:last-child')].map(e => e.textContent).includes('7')")


def test_a_column_is_checked_among_all_of_them(
    page: Any, serving: Callable[[str], Server], write: Callable[..., None]
) -> None:
    """Also that of a metric with the name of a statistic, as the server writes it."""
    server = serving("mean")
    write(server.store, "with experiment_context('digits', 'mean'): logger.log_metrics({'mean': 2.0}, step=0)")

    page.open(server, "column=metrics.mean.last")
    page.click("#columns-button")

    page.until("document.querySelector(\"#columns label[title^='metrics.mean'] input\")?.checked", True)


def test_artifacts_are_looked_at(quiet: Any, server: Server) -> None:
    quiet.open(server, f"view={server.ids()['vit-4']}")

    quiet.until("document.querySelector('.pictures img')?.naturalWidth", 1)
    quiet.click("[aria-label='Look at notes.txt']")
    quiet.until("document.querySelector('.facts div pre')?.textContent", "first line of the notes")


def test_lines_and_cursor_are_linked_in_both_directions(quiet: Any, server: Server) -> None:
    quiet.open(server, f"view={server.ids()['vit-4']}&chart=train/loss")
    quiet.drawn(1)
    quiet.until("document.querySelectorAll('.line').length", 31)

    quiet.point(".u-over", 0.5)
    quiet.until(
        "document.querySelector('.line.is-here')?.textContent.includes('at step 1400') || "
        "document.querySelector('.line.is-here')?.textContent.includes('at step 1500')"
    )

    quiet.ask("document.querySelectorAll('.line')[20].dispatchEvent(new PointerEvent('pointerover', {bubbles: true}))")
    quiet.until(f"{CHARTS}[0].link.cursor", 2000)

    quiet.type(".run-log input", "RATE is")
    quiet.until("document.querySelectorAll('.line').length", 1)
    assert "the learning rate is high" in quiet.texts(".line")[0]
    assert "find=RATE" in quiet.driver.current_url


def test_everything_is_done_by_keys(quiet: Any, server: Server) -> None:
    quiet.open(server, "chart=train/loss")
    quiet.drawn(1)

    quiet.ask("document.querySelector('#table tbody input').focus()")
    quiet.press("ARROW_DOWN", "SPACE")
    quiet.until(f"{CHARTS}[0].curves.length", 4)
    quiet.press("SPACE")
    quiet.until(f"{CHARTS}[0].curves.length", 5)

    quiet.ask("document.querySelector('.chart-plot').focus()")
    quiet.press("END", "ARROW_LEFT", "+")
    quiet.until("location.hash.includes('from=')")
    low, high = quiet.ask(f"{CHARTS}[0].view")
    assert 0 < low < high <= 2999
    assert "step 2,99" in quiet.ask("document.querySelector('.chart [aria-live]').textContent")
    quiet.press("0", "l")
    quiet.until(f"{CHARTS}[0].plot.scales.y.distr", 3)
    quiet.until("location.hash.includes('log=train')")

    quiet.ask("document.querySelector('#table tbody tr:nth-child(3) input').focus()")
    quiet.press("ENTER")
    quiet.until("location.hash.includes('view=') && document.querySelector('.run-head h2')?.textContent", "mlp-5")


def test_a_wrong_token_is_told_and_nothing_is_shown(page: Any, server: Server) -> None:
    page.driver.get("about:blank")
    page.driver.delete_all_cookies()
    page.driver.execute_cdp_cmd("Network.clearBrowserCookies", {})

    page.driver.get(f"{server.address}?token=wrong")

    assert "refunc ui" in page.ask("document.body.textContent")
    assert page.ask("document.querySelectorAll('#table').length") == 0
    page.driver.get_log("browser")
