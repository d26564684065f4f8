"""`refunc report` in a real browser: drawn, quiet, without a request, whatever users have written."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.report.reports import CHARTS, INKED, is_quiet, png, train, write

from refunc.logging import MLLogger, define_metric, experiment_context
from refunc.runs import open_store
from refunc_commands.report.content import content_of
from refunc_commands.report.curves import Drawing, Of, charts_of
from refunc_commands.report.room import Room

pytestmark = [pytest.mark.once, pytest.mark.extras]

SCRIPT = "<script>document.title='pwned'</script>"
HOSTILE = (
    SCRIPT,
    "</script><img src=x onerror=\"document.title='pwned'\">",
    "=cmd|' /C calc'!A0",
    "]]>--><!--\u2028\u202e\x1b[31m",
    "__proto__",
    "{{content}}{{script}}",
    "' onmouseover='alert(1)",
    "javascript:alert(1)",
)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_charts_are_drawn_at_every_width_in_both_schemes(browser: Any, width: int, scheme: str) -> None:
    train("one")
    train("two", lr=0.2, offset=0.5)
    file = write("one", "two")

    browser.open(file, width=width, scheme=scheme)

    assert is_quiet(browser, file)
    assert browser.ask("[...document.querySelectorAll('figure h3')].map(e => e.textContent)") == ["loss", "val/acc"]
    assert browser.ask(f"{CHARTS}.flatMap(chart => chart.drawn.map(curve => curve.y.length))") == [100] * 4
    assert all(browser.ask(f"{CHARTS}.map(chart => {INKED})"))
    assert browser.ask("document.documentElement.scrollWidth") <= width
    colours = browser.ask("(s => [s.color, s.backgroundColor])(getComputedStyle(document.body))")
    assert min(contrast(*colours), *(contrast(c, colours[1]) for c in drawn_colours(browser))) >= 4.5


def drawn_colours(browser: Any) -> list[str]:
    found: list[str] = browser.ask(
        "[...document.querySelectorAll('.legend .swatch')].map(e => getComputedStyle(e).backgroundColor)"
        ".concat([...document.querySelectorAll('.quiet, .warn, .good, th, figcaption, .chart-button')]"
        ".map(e => getComputedStyle(e).color))"
    )
    return sorted(set(found))


def contrast(one: str, other: str) -> float:
    """Return the contrast of two colours by the WCAG."""

    def brightness(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((brightness(one), brightness(other)))
    return (high + 0.05) / (low + 0.05)


def test_what_differs_is_marked_and_can_be_shown_alone(browser: Any) -> None:
    train("one")
    train("two", lr=0.2)
    browser.open(write("one", "two"))

    rows = "[...document.querySelectorAll('#params tbody tr')].filter(e => e.checkVisibility())"
    texts = f"{rows}.map(e => e.className + ' ' + [...e.children].map(c => c.textContent).join('|'))"
    assert browser.ask(texts) == ["differs lr|0.1|0.2", "same optimizer.name|adam|adam"]
    browser.ask("document.querySelector('#params input').click()")
    assert browser.ask(texts) == ["differs lr|0.1|0.2"]


def test_the_log_has_levels_and_can_be_searched(browser: Any) -> None:
    train("one")
    browser.open(write("one"))

    rows = "[...document.querySelectorAll('.log div')].filter(e => !e.hidden).map(e => e.textContent.slice(20))"
    assert browser.ask(rows) == ["INFO       train  halfway", "WARNING    train  careful"]
    assert browser.ask("document.querySelector('.log .warn').textContent.trim()") == "WARNING"
    browser.ask(
        "(i => { i.value = 'CARE'; i.dispatchEvent(new Event('input')); })(document.querySelector('#logs input'))"
    )
    assert browser.ask(rows) == ["WARNING    train  careful"]


def test_everything_that_a_user_has_written_stays_text(browser: Any, own_folder: Path) -> None:
    logger = MLLogger(SCRIPT)
    for name in HOSTILE:
        (own_folder / "artifact.txt").write_text(SCRIPT)
        try:
            with experiment_context(name, name):
                logger.log_hyperparams({text: text for text in HOSTILE})
                logger.add_tags({text: text for text in HOSTILE})
                logger.log_metrics(dict.fromkeys(HOSTILE, 0.5), step=1)
                logger.warning(name, extra={name: name}, metrics={name: 1.0})
                logger.log_artifact("artifact.txt", name, name=name)
                raise ValueError(name)
        except ValueError:
            continue
    from refunc.runs import open_store

    file = write(*(run.run_id for run in open_store()), "--title", SCRIPT)
    browser.open(file)

    assert is_quiet(browser, file)
    assert browser.ask("document.title") == SCRIPT
    assert browser.ask("document.querySelector('h1').textContent") == SCRIPT
    assert browser.ask("document.querySelectorAll('script').length") == 3
    assert browser.ask("document.querySelectorAll('img, iframe, a, link, object, embed').length") == 0
    assert (
        browser.ask("[...document.querySelectorAll('*')].some(e => [...e.attributes].some(a => /^on/.test(a.name)))")
        is False
    )
    text = browser.ask("document.body.textContent")
    for name in HOSTILE[:3] + HOSTILE[4:]:
        assert name in text
    assert "\u202e" not in text
    assert "\x1b" not in text


def test_the_policy_refuses_what_could_come_in(browser: Any) -> None:
    """Also a script, a picture and a request that an attacker might get into the page."""
    train("one")
    browser.open(write("one"))

    browser.ask(
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'document.title = 1'}),"
        "Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/x.png'}))"
    )
    assert browser.ask("fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')") == "refused"

    assert browser.ask("document.title") == "one"
    refused = " ".join(browser.complaints())
    assert all(kind in refused for kind in ("script-src", "img-src", "default-src"))


def test_the_best_values_are_marked(browser: Any) -> None:
    for name, values in (("one", (0.5, 0.3, 0.4)), ("two", (0.6, 0.2, 0.9))):
        with experiment_context("digits", name):
            define_metric("loss", goal="min")
            for value in values:
                MLLogger("train").log_metrics({"loss": value, "other": value})

    browser.open(write("one", "two"))

    assert browser.ask("[...document.querySelectorAll('#values .best')].map(cell => cell.textContent)") == ["0.2*"]
    assert browser.ask("document.querySelector('#values p').textContent") == "* the best"


def test_a_best_value_that_only_the_name_says_is_marked_as_a_guess(browser: Any) -> None:
    for name, value in (("one", 0.5), ("two", 0.2)):
        with experiment_context("digits", name):
            MLLogger("train").log_metrics({"loss": value, "other": value})

    browser.open(write("one", "two"))

    assert browser.ask("[...document.querySelectorAll('#values .best')].map(cell => cell.textContent)") == ["0.2~"]
    assert (
        browser.ask("document.querySelector('#values p').textContent") == "~ the best, guessed from the metric's name"
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("count", [1, 2])
def test_values_that_are_not_finite_are_values_everywhere(value: float, count: int, browser: Any) -> None:
    with experiment_context("digits", "odd", parameters={"lr": value, "nested": {"list": [value]}}):
        for step in range(count):
            MLLogger("train").log_metrics({"loss": value}, step=step)
        MLLogger("train").log_result("test", {"accuracy": value})
    file = write("odd")

    browser.open(file)

    assert is_quiet(browser, file)
    name = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    for part in ("values", "params"):
        cells = browser.ask(f"[...document.querySelectorAll('#{part} tbody tr')].map(row => row.textContent)")
        assert len(cells) == 2
        assert all(name in cell for cell in cells), cells


def test_a_hundred_thousand_points_stay_small_and_keep_their_extremes(browser: Any) -> None:
    logger = MLLogger("train")
    with experiment_context("digits", "long"):
        for step in range(100_000):
            value = math.sin(step / 1_000) + (50 if step == 33_333 else -50 if step == 66_667 else 0)
            logger.log_metrics({"loss": math.nan if 0 <= step - 77_777 < 20 else value}, step=step)
        for number in range(3_000):
            logger.log(30 if number == 10 else 20, "line %d", number)
    file = write("long")

    assert file.stat().st_size < 2_000_000
    browser.open(file)
    caption = browser.ask("document.querySelector('figcaption').textContent")
    assert re.search(r"of 100,000 points drawn, lowest and highest kept · 20 NaN or infinite", caption)
    content = browser.ask("JSON.parse(document.getElementById('content').textContent)")
    (curve,) = content["charts"]["list"][0]["curves"]
    assert dict(zip(curve["x"], curve["y"], strict=True))[33_333] > 49
    assert dict(zip(curve["x"], curve["y"], strict=True))[66_667] < -49
    assert "NaN" in curve["y"]
    assert (curve["x"][0], curve["x"][-1]) == (0, 99_999)
    run = content["runs"][0]
    assert run["lines_of"] == 3_000
    assert [run["lines"][0][3], run["lines"][-1][3]] == ["line 10", "line 2999"]
    assert "of 3,000 lines: the newest, and warnings" in browser.ask("document.querySelector('#logs').textContent")


def test_single_values_are_a_table_and_no_chart() -> None:
    for name in ("one", "two"):
        with experiment_context("digits", name):
            logger = MLLogger("train")
            logger.log_result("accuracy", 0.9)
            logger.log_metrics({"test/loss": 0.5}, step=7)
            for step in range(2 if name == "two" else 1):
                logger.log_metrics({"loss": 1.0}, step=step)
    content = content_of(open_store().runs(), title="t", made="now", drawing=Drawing())

    assert [chart["name"] for chart in content["charts"]["list"]] == ["loss"]
    assert [sorted(run["values"]) for run in content["runs"]] == [["accuracy", "loss", "test/loss"]] * 2


def test_a_run_that_is_removed_meanwhile_has_no_curve() -> None:
    for name in ("stays", "goes"):
        train(name, steps=3)
    runs = open_store().runs()
    of = Of(runs, [run.summary.metrics for run in runs])
    shutil.rmtree(runs[1].folder)

    charts = charts_of(of, Drawing(), Room(1_000_000), lambda text, most: text)["list"]
    assert [(chart["name"], [curve["run"] for curve in chart["curves"]]) for chart in charts] == [
        ("loss", [0]),
        ("val/acc", [0]),
    ]


def test_many_metrics_stay_small() -> None:
    logger = MLLogger("train")
    with experiment_context("digits", "wide"):
        for step in range(200):
            logger.log_metrics({f"metric {number}": step * number / 7 for number in range(500)}, step=step)
    done = subprocess.run(
        [sys.executable, "-m", "refunc", "report", "wide", "--json"], capture_output=True, text=True, timeout=60
    )

    facts = json.loads(done.stdout)
    assert (facts["charts"], facts["points"]) == (400, 80_000)
    assert facts["points_drawn"] <= 24_000
    assert facts["bytes"] < 2_000_000


def test_points_without_an_x_are_drawn_by_their_numbers_however_few_are_drawn() -> None:
    with experiment_context("images", "odd", logger=MLLogger("report", "CRITICAL")) as tracker:
        define_metric("loss", step_metric="epoch")
        for step in range(3_000):
            tracker.log_metrics({"loss": 1 / (1 + step)}, step=step)

    [chart] = content_of(list(open_store()), title="t", made="now", drawing=Drawing(max_points=100))["charts"]["list"]

    [curve] = chart["curves"]
    assert (curve["x_name"], curve["x"][0], curve["x"][-1], len(curve["x"]) <= 100) == ("point", 0, 2_999, True)


def test_pictures_are_shown_if_they_lie_in_the_run(browser: Any, own_folder: Path) -> None:
    (own_folder / "plot.png").write_bytes(png())
    (own_folder / "elsewhere.png").write_bytes(png())
    logger = MLLogger("train")
    with experiment_context("digits", "pictured") as run:
        logger.log_artifact("plot.png")
        logger.log_artifact("elsewhere.png", copy=False)
    (segment,) = (run.folder / "journal").iterdir()
    # A journal may be anybody's: one that names a file of this machine.
    from refunc.journal.codec import encode_line

    seq = segment.read_bytes().count(b"\n") - 1  # after the header
    line = {"seq": seq, "time": 0.0, "kind": "artifact", "name": "passwd", "stored": "../../elsewhere.png", "size": 9}
    with open(segment, "ab") as file:
        file.write(encode_line(line))
    report = write("pictured")

    browser.open(report)

    assert is_quiet(browser, report)
    assert browser.ask("[...document.images].map(i => [i.alt, i.naturalWidth])") == [["plot.png", 64]]
    assert "not copied" in browser.ask("document.querySelector('#artifacts').textContent")


def test_a_failed_run_shows_its_error_and_a_run_without_anything_is_a_report_too(browser: Any) -> None:
    with pytest.raises(ZeroDivisionError), experiment_context("digits", "failed"):
        _ = 1 / 0
    file = write("failed")

    browser.open(file)

    assert is_quiet(browser, file)
    assert "ZeroDivisionError" in browser.ask("document.querySelector('#errors pre').textContent")
    assert browser.ask("document.querySelector('#runs strong.bad').textContent") == "failed"
    assert browser.ask("document.querySelectorAll('#charts, #params, #logs').length") == 0


def test_a_mistake_exits_with_2_and_leaves_a_file_as_it_was() -> None:
    train("one")
    Path("report.html").write_text("old")

    for arguments in (["nobody"], ["--experiment", "nobody"], ["one", "-o", "report.html/report.html"]):
        done = subprocess.run(
            [sys.executable, "-m", "refunc", "report", *arguments], capture_output=True, text=True, timeout=60
        )
        assert (done.returncode, done.stdout) == (2, "")
        assert "Traceback" not in done.stderr

    assert Path("report.html").read_text() == "old"


def test_to_stdout_comes_the_file_itself() -> None:
    train("one")

    done = subprocess.run([sys.executable, "-m", "refunc", "report", "one", "-o", "-"], capture_output=True, timeout=60)

    assert done.stdout.startswith(b"<!doctype html>")
    assert done.stdout.endswith(b"</html>\n")
    assert not Path("report.html").exists()
