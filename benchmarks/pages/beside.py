"""
The first look at many runs: the pages of trackio, TensorBoard, MLflow and refunc, side by side in one Chromium.

    pip install ./refunc-core ./refunc-commands ./refunc-ui selenium
    pip install trackio==0.43.0 tensorboard==2.21.0 tensorboardX mlflow==3.17.2
    python benchmarks/pages/beside.py [--runs 100] [--points 10000] [--rounds 3] [--only refunc]

Each package writes the same runs, of one metric, by its own client, and shows them on its own page. A new browser, with
nothing in its cache, opens the page. The clock starts with the navigation; `table` is the moment at which the page has
the name of the newest run, `chart` that at which it has drawn a curve. Bytes are those that came over the network until
then, and, once the page is still, in ten seconds without any change in the runs. `pan` is the number of frames in a
second while twenty curves are moved, in refunc alone: the others' charts cannot be moved by a script in the same way.

It needs Chromium and its driver. Numbers are medians over the rounds.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PATIENCE = 90.0
IDLE = 10.0
PAN = """
const done = arguments[0], chart = document.querySelector('.chart').chart, times = [];
const [low, high] = chart.everything;
chart.zoom(0.5, (low + high) / 2);
let last = performance.now();
requestAnimationFrame(function step(now) {
  times.push(now - last);
  last = now;
  chart.pan(times.length % 40 < 20 ? 0.02 : -0.02);
  if (times.length < 200) requestAnimationFrame(step);
  else done(1000 * times.length / times.reduce((sum, time) => sum + time));
});
"""


@dataclass(frozen=True)
class Page:
    """A package's page: how runs are written for it, how it is started, and what is on it when it is drawn."""

    name: str
    write: Callable[[Path, int, int], None]
    command: Callable[[Path, int], list[str]]
    address: str
    table: str
    chart: str
    variables: Callable[[Path], dict[str, str]] = field(default=lambda folder: {})


def name_of(run: int) -> str:
    return f"run-{run:03d}"


def values(run: int, points: int) -> list[float]:
    """Return the points of a run, the same for every package."""
    noise = random.Random(run)
    return [math.exp(-3 * step / points) + noise.gauss(0, 0.03) for step in range(points)]


def write_refunc(folder: Path, runs: int, points: int) -> None:
    from refunc.logging import MLLogger, experiment_context

    os.environ["REFUNC_DIR"] = str(folder / "experiments")
    logger = MLLogger("train", "CRITICAL")
    for run in range(runs):
        with experiment_context("digits", name_of(run), logger=logger):
            for step, value in enumerate(values(run, points)):
                logger.log_metrics({"loss": value}, step=step)


def write_trackio(folder: Path, runs: int, points: int) -> None:
    os.environ["TRACKIO_DIR"] = str(folder / "trackio")
    import trackio

    for run in range(runs):
        trackio.init(project="digits", name=name_of(run), embed=False)
        for step, value in enumerate(values(run, points)):
            trackio.log({"loss": value}, step=step)
        trackio.finish()


def write_tensorboard(folder: Path, runs: int, points: int) -> None:
    from tensorboardX import SummaryWriter

    for run in range(runs):
        with SummaryWriter(str(folder / "logs" / name_of(run))) as writer:
            for step, value in enumerate(values(run, points)):
                writer.add_scalar("loss", value, step)


def write_mlflow(folder: Path, runs: int, points: int) -> None:
    import mlflow
    from mlflow.entities import Metric

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'mlflow.db'}")
    mlflow.set_experiment("digits")
    client = mlflow.MlflowClient()
    for run in range(runs):
        with mlflow.start_run(run_name=name_of(run)) as started:
            metrics = [
                Metric("loss", value, int(time.time() * 1000), step) for step, value in enumerate(values(run, points))
            ]
            for at in range(0, points, 1_000):
                client.log_batch(started.info.run_id, metrics=metrics[at : at + 1_000])


PAGES = (
    Page(
        "refunc",
        write_refunc,
        lambda folder, port: [
            *(sys.executable, "-m", "refunc", "--store", str(folder / "experiments"), "ui"),
            *("--port", str(port), "--token", "t", "--no-open"),
        ],
        "?token=t",
        "document.querySelector('#table tbody .name a') !== null",
        "[...document.querySelectorAll('.chart')]"
        ".some(e => e.chart.plot && e.chart.caption.textContent.includes('points'))",
        lambda folder: {"REFUNC_CACHE": str(folder / "cache")},
    ),
    Page(
        "trackio",
        write_trackio,
        lambda folder, port: [sys.executable, "-m", "trackio.cli", "show", "--project", "digits"],
        "?project=digits",
        "document.body.innerText.includes('run-0')",
        "document.querySelector('canvas.marks, .vega-embed canvas, .vega-embed svg') !== null",
        lambda folder: {"TRACKIO_DIR": str(folder / "trackio")},
    ),
    Page(
        "TensorBoard",
        write_tensorboard,
        lambda folder, port: [
            *(sys.executable, "-m", "tensorboard.main", "--logdir", str(folder / "logs"), "--port", str(port)),
        ],
        "#timeseries",
        "document.body.innerText.includes('run-0')",
        "document.querySelector('line-chart canvas, line-chart svg path') !== null",
    ),
    Page(
        "MLflow",
        write_mlflow,
        lambda folder, port: [
            *(sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"),
            *("--port", str(port), "--workers", "1"),
        ],
        "#/experiments/1/runs?compareRunsMode=CHART",
        "document.body.innerText.includes('run-0')",
        "document.querySelector('.js-plotly-plot .scatterlayer path, .js-plotly-plot canvas') !== null",
    ),
)


def measure(page: Page, folder: Path) -> dict[str, float]:
    """Start the server of a page, open it in a new browser, and return the figures."""
    port = 7860 if page.name == "trackio" else free_port()
    environment = {**os.environ, **page.variables(folder), "GRADIO_SERVER_PORT": str(port)}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment}
    server = subprocess.Popen(page.command(folder, port), **quiet)  # type: ignore[call-overload]
    try:
        wait_for(lambda: is_open(port))
        with tempfile.TemporaryDirectory() as profile:
            driver = browser(profile)
            try:
                return figures(driver, page, f"http://127.0.0.1:{port}/{page.address}")
            finally:
                driver.quit()
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def figures(driver: Any, page: Page, address: str) -> dict[str, float]:
    found: dict[str, float] = {}
    driver.asked = {}
    driver.get("about:blank")
    received(driver)
    begin = time.perf_counter()
    driver.get(address)
    for what, script in (("table", page.table), ("chart", page.chart)):
        wait_for(lambda script=script: driver.execute_script(f"return {script}"))
        found[what] = time.perf_counter() - begin
    found["bytes"] = received(driver)
    time.sleep(3)
    received(driver)
    time.sleep(IDLE)
    found["idle"] = received(driver) / IDLE
    if page.name == "refunc":
        driver.execute_script("document.querySelector('#clear').click()")
        driver.execute_script(
            "[...document.querySelectorAll('#table tbody input')].slice(0, 20).forEach(e => e.click())"
        )
        count = "document.querySelector('.chart')?.chart.curves.length"
        wait_for(lambda: driver.execute_script(f"return {count}") == 20)
        time.sleep(3)
        found["pan"] = driver.execute_async_script(PAN)
    return found


def received(driver: Any) -> int:
    """Return how many bytes came over the network since it was asked before."""
    total = 0
    for entry in driver.get_log("performance"):
        message = json.loads(entry["message"])["message"]
        if message["method"] == "Network.requestWillBeSent":  # the browser's own pages ask for things, too
            driver.asked[message["params"]["requestId"]] = message["params"]["request"]["url"]
        is_done = message["method"] == "Network.loadingFinished"
        if is_done and driver.asked.get(message["params"]["requestId"], "").startswith("http"):
            total += message["params"]["encodedDataLength"]
    return int(total)


def browser(profile: str) -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--window-size=1600,900")
    options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def wait_for(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def is_open(port: int) -> bool:
    with socket.socket() as found:
        return found.connect_ex(("127.0.0.1", port)) == 0


def main() -> None:
    """Write the runs, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=[page.name for page in PAGES])
    parser.add_argument("--write", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    pages = [page for page in PAGES if not asked.only or page.name in asked.only]
    if asked.write:
        pages[0].write(Path(asked.write), asked.runs, asked.points)
        return
    with tempfile.TemporaryDirectory() as name:
        for page in pages:  # each in a process of its own
            sizes = ["--runs", str(asked.runs), "--points", str(asked.points)]
            command = [sys.executable, __file__, "--write", name, "--only", page.name, *sizes]
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=name)
        print(f"{'':12} {'table':>8} {'chart':>8} {'KB':>8} {'B/s idle':>9} {'pan':>6}")
        found: dict[str, list[dict[str, float]]] = {page.name: [] for page in pages}
        for _ in range(asked.rounds):
            for page in pages:
                try:
                    found[page.name].append(measure(page, Path(name)))
                except TimeoutError:
                    print(f"{page.name}: nothing within {PATIENCE:.0f} s", file=sys.stderr)
        for package, rounds in found.items():
            if rounds:
                middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
                pan = f"{middle['pan']:6.0f}" if "pan" in middle else ""
                print(
                    f"{package:12} {middle['table']:7.2f}s {middle['chart']:7.2f}s {middle['bytes'] / 1000:8.0f} "
                    f"{middle['idle']:9.0f} {pan}"
                )


if __name__ == "__main__":
    main()
