"""`refunc report` in a real browser: drawn, quiet, without a request, whatever users have written."""

from __future__ import annotations

import json
import math
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import MLLogger, define_metric, experiment_context
from refunc.runs import open_store
from refunc_commands.report.content import content_of
from refunc_commands.report.curves import Drawing

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


#: The charts that a page has.
CHARTS = "[...document.querySelectorAll('figure')].flatMap(figure => figure.chart ?? [])"
#: Whether curves were drawn: some pixel of the canvas has another colour than grid and text.
INKED = (
    "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, at, all) => at % 4 === 0 && "
    "all[at + 3] > 200 && Math.max(v, all[at + 1], all[at + 2]) - Math.min(v, all[at + 1], all[at + 2]) > 60))"
    "(chart.plot.ctx.canvas)"
)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(x * 4 for x in range(64)) for _ in range(64))
    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def train(name: str, *, steps: int = 100, lr: float = 0.1, offset: float = 0.0, **tags: str) -> Any:
    logger = MLLogger("train")
    with experiment_context("digits", name) as run:
        logger.log_hyperparams({"lr": lr, "optimizer": {"name": "adam"}})
        logger.add_tags({"team": "vision", **tags})
        for step in range(steps):
            logger.log_metrics({"loss": offset + 1 / (step + 1), "val/acc": step / steps}, step=step)
        logger.info("halfway")
        logger.warning("careful")
    return run


def write(*arguments: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "refunc", "report", *arguments, "-o", "report.html"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return Path("report.html").absolute()


def is_quiet(browser: Any, file: Path) -> bool:
    """Whether nothing was complained of, and nothing asked for but the file itself."""
    return bool(browser.complaints() == [] and browser.requests() == [file.as_uri()])


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


def place_of(browser: Any) -> tuple[float, float, float, float]:
    """Return left, top, width and height of the first chart's area."""
    found = "(r => [r.x, r.y, r.width, r.height])(document.querySelector('.u-over').getBoundingClientRect())"
    return tuple(browser.ask(found))  # type: ignore[return-value]


def frames(browser: Any) -> None:
    """Wait until what was asked for is drawn."""
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")


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


def set_value(browser: Any, field: str, text: str) -> None:
    browser.ask(
        f"(e => {{ e.value = {text!r}; e.dispatchEvent(new Event('change')); }})(document.querySelector('{field}'))"
    )


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

    line = {"seq": 99, "time": 0.0, "kind": "artifact", "name": "passwd", "stored": "../../elsewhere.png", "size": 9}
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
