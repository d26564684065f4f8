"""The charts of a report in a real browser: pointer, fingers, keys, scales, patterns, smoothing, groups and ranks."""

from __future__ import annotations

import json
import math
from array import array
from typing import Any

import pytest
from tests.ranked import ranked
from tests.report.reports import CHARTS, frames, is_quiet, place_of, set_value, train, write

from refunc.runs.curve import Curve

pytestmark = [pytest.mark.once, pytest.mark.extras]


def test_values_are_told_where_the_pointer_is(browser: Any) -> None:
    train("one")
    train("two", offset=0.5)
    browser.open(write("one", "two"))
    x, y, width, _ = place_of(browser)

    browser.move_mouse(x + width - 1, y + 60)

    lines = "(e => e.hidden ? '' : [...e.children].map(line => line.textContent).join('; '))"
    tip = f"{lines}(document.querySelector('.chart-tip'))"
    assert browser.ask(tip) == "step 99; one0.01; two0.51"
    assert browser.ask(f"{CHARTS}.map(chart => chart.link.cursor > 98)") == [True, True]
    browser.move_mouse(2, 2)
    assert browser.ask(tip) == ""


def test_a_drag_zooms_all_charts_and_a_double_click_shows_everything(browser: Any) -> None:
    train("one")
    file = write("one")
    browser.open(file)
    x, y, width, _ = place_of(browser)
    views = f"{CHARTS}.map(chart => chart.view.map(Math.round))"
    assert browser.ask(views) == [[0, 99], [0, 99]]

    browser.drag(x + width * 20 / 99, y + 40, x + width * 60 / 99, y + 50)
    frames(browser)

    assert browser.ask(views) == [[20, 60], [20, 60]]
    assert browser.ask("document.querySelector('figcaption').textContent") == "by step · 40 points"
    browser.ask("document.querySelector('.u-over').dispatchEvent(new MouseEvent('dblclick', {bubbles: true}))")
    assert browser.ask(views) == [[0, 99], [0, 99]]
    assert is_quiet(browser, file)


def test_keys_move_the_cursor_and_zoom_and_a_chart_is_described(browser: Any) -> None:
    train("one")
    browser.open(write("one"))

    def press(key: str) -> None:
        browser.ask(f"document.activeElement.dispatchEvent(new KeyboardEvent('keydown', {{key: {key!r}}}))")

    plot = "document.querySelector('.chart-plot')"
    browser.ask(f"{plot}.focus()")
    press("End")
    press("ArrowLeft")
    assert browser.ask(f"{CHARTS}[0].link.cursor") == 98
    assert browser.ask("document.querySelector('[aria-live]').textContent").endswith("step 98: 0.010101")
    press("+")
    low, high = browser.ask(f"{CHARTS}[0].view")
    assert 0 < low < 98 < high <= 99
    press("0")
    assert browser.ask(f"{CHARTS}[0].view") == [0, 99]
    label = browser.ask(f"{plot}.getAttribute('aria-label')")
    assert label.startswith("loss: 1 curve. from 0.01 to 1, last 0.01 at step 99, best 0.01 at step 99.")


def test_a_logarithmic_scale_at_a_click(browser: Any) -> None:
    train("one")
    file = write("one")
    browser.open(file)
    assert browser.ask(f"{CHARTS}[0].plot.scales.y.distr") == 1

    button = "document.querySelector('[aria-label^=Logarithmic]')"
    browser.click(*browser.ask(f"(r => [r.x + 5, r.y + 5])({button}.getBoundingClientRect())"))
    frames(browser)

    assert browser.ask(f"{CHARTS}[0].plot.scales.y.distr") == 3
    assert browser.ask(f"{button}.getAttribute('aria-pressed')") == "true"
    assert is_quiet(browser, file)


def test_a_pattern_draws_several_metrics_in_one_chart(browser: Any) -> None:
    train("one")
    train("two", offset=0.5)
    file = write("one", "two")
    browser.open(file)

    set_value(browser, "#together", "*a* none")

    titles = "[...document.querySelectorAll('figure h3')].map(e => e.textContent)"
    assert browser.ask(titles) == ["*a*"]
    assert browser.ask("document.querySelector('#charts [role=status]').textContent") == "No metric is called none."
    set_value(browser, "#together", "*")
    frames(browser)
    frames(browser)
    labels = f"{CHARTS}[0].drawn.map(curve => curve.label)"
    assert browser.ask(labels) == ["one  loss", "two  loss", "one  val/acc", "two  val/acc"]
    assert len(set(browser.ask(f"{CHARTS}[0].drawn.map(curve => curve.slot)"))) == 4
    assert is_quiet(browser, file)


def test_smoothing_has_no_bias_and_does_not_depend_on_the_number_of_points_drawn(browser: Any) -> None:
    train("one")
    browser.open(write("one"))

    constant = "(c => Math.max(...smoothed(c, 0.9).map((v, at) => Math.abs(v - c[at]))))(new Float64Array(50).fill(7))"
    assert browser.ask(f"(({{smoothed}}) => {constant})(document.querySelector('figure').chart.parts)") < 1e-12
    halves = (
        "(({smoothed}) => { const all = Float64Array.from({length: 2000}, (_, at) => at); "
        "const some = all.filter((_, at) => at % 10 === 9); "
        "return [smoothed(all, 0.99)[1999], smoothed(some, 0.99, 10)[199]]; })"
    )
    every, some = browser.ask(f"{halves}(document.querySelector('figure').chart.parts)")
    assert abs(every - some) < 6


def test_groups_are_bands_and_ranks_are_curves(browser: Any) -> None:
    for seed in range(3):
        train(f"a{seed}", lr=0.1, offset=seed)
        train(f"b{seed}", lr=0.2, offset=seed)
    every = [f"{model}{seed}" for model in "ab" for seed in range(3)]
    file = write(*every, "--group", "params.lr", "--spread", "minmax")

    browser.open(file)

    assert is_quiet(browser, file)
    curves = browser.ask(f"{CHARTS}[0].drawn.map(c => [c.label, c.low[0], c.y[0], c.high[0], c.n[0]])")
    assert curves == [["0.1 (3 runs)", 1, 2, 3, 3], ["0.2 (3 runs)", 1, 2, 3, 3]]
    assert "mean of the runs with equal params.lr" in browser.ask("document.querySelector('#charts p').textContent")


def test_ranks_are_curves(browser: Any) -> None:
    ranked("experiments", ranks=4)

    file = write("resnet", "--rank", "all")
    browser.open(file)

    assert is_quiet(browser, file)
    curves = browser.ask(f"{CHARTS}[0].drawn.map(c => [c.label, c.y.at(-1)])")
    assert curves == [[f"rank {rank}", 200 + rank] for rank in range(4)]
    assert len(set(browser.ask(f"{CHARTS}[0].drawn.map(curve => curve.slot)"))) == 4


def test_two_fingers_zoom_and_move(browser: Any) -> None:
    train("one")
    browser.open(write("one"))
    left, top, width, height = place_of(browser)
    at = {share: left + width * share for share in (0.25, 0.4, 0.6, 0.75)}
    view = f"{CHARTS}[0].view"

    browser.touch([(at[0.4], top + height / 2), (at[0.6], top + height / 2)])
    browser.touch([(at[0.25], top + height / 2), (at[0.75], top + height / 2)], "touchMove")
    frames(browser)
    low, high = browser.ask(view)
    browser.touch([], "touchEnd")

    # The steps under the fingers are those that were: 0.4 and 0.6 of 99.
    assert (low + 0.25 * (high - low), low + 0.75 * (high - low)) == pytest.approx((39.6, 59.4), abs=0.5)
    assert browser.ask(view) == [low, high]
    assert browser.ask(f"{CHARTS}[0].tip.hidden") is True


def test_smoothing_is_that_of_the_library_also_where_it_goes_on(browser: Any) -> None:
    train("one")
    browser.open(write("one"))
    values = [math.sin(at / 7) * at for at in range(300)]
    values[0], values[40], values[41] = math.nan, math.inf, -math.inf
    of = array("d", values)
    expected = [None if value != value else value for value in Curve("step", of, of, has_odd=True).smoothed(0.9)]
    words = [str(value).replace("inf", "Infinity") for value in values]

    whole, parts = browser.ask(
        "(({smoothed}, words) => { const column = Float64Array.from(words, Number), one = column.slice(0, 100);"
        "const began = smoothed(one, 0.9), before = {average: began.at(-1), count: 97};"
        "const plain = found => [...found].map(value => Number.isFinite(value) ? value : null);"
        "return [plain(smoothed(column, 0.9)), plain([...began, ...smoothed(column.slice(100), 0.9, 1, before)])]; })"
        f"(document.querySelector('figure').chart.parts, {json.dumps(words)})"
    )

    for found in (whole, parts):
        assert [value is None for value in found] == [value is None for value in expected]
        assert found[1:] == pytest.approx(expected[1:], rel=1e-9)
