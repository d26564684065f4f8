"""
Many runs on the pages of trackio, TensorBoard, MLflow, aim and refunc, side by side in one Chromium.

    pip install ./refunc-core ./refunc-commands ./refunc-ui selenium
    pip install trackio==0.43.0 tensorboard==2.21.0 tensorboardX==2.6.5 mlflow==3.17.2 aim==3.29.1
    python benchmarks/pages/beside.py [--runs 100] [--points 10000] [--rounds 3] [--only refunc] [--work FOLDER]

Each package writes the same runs, of one metric, by its own client, and shows them on its own page. One more run, the
newest, goes on. A new browser, with nothing in its cache, opens the page. The clock starts with the navigation; `table`
is the moment at which the page has the name of a run, `chart` that at which it has drawn a curve. Bytes are those on
the wire, both ways: until then; in ten seconds without any change in the runs, for each second; and, while the run that
goes on logs a record each second, for each record. A page that gets fewer bytes while a run goes on than it takes to
say so does not update by itself. `pan` is the number of frames in a second while twenty curves are moved, in refunc
alone: the others' charts cannot be moved by a script in the same way.

It needs Chromium and its driver. Numbers are medians over the rounds.
"""

from __future__ import annotations

import argparse
import http.client
import math
import os
import platform
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from counting import Counter
from packages import PACKAGES, Package

PATIENCE = 90.0
#: Seconds until a page is still, seconds in which nothing changes, and records of the run that goes on.
STILL = 12.0
IDLE = 10.0
RECORDS = 15
#: The frames in two seconds.
PAN = """
const done = arguments[0], chart = document.querySelector('.chart').chart, [low, high] = chart.everything;
chart.zoom(0.5, (low + high) / 2);
let frames = 0, first;
requestAnimationFrame(function step(now) {
  first ??= now;
  if (now - first > 2000) return done(1000 * frames / (now - first));
  frames += 1;
  chart.pan(frames % 40 < 20 ? 0.02 : -0.02);
  requestAnimationFrame(step);
});
"""
Figures = dict[str, float]


def measure(package: Package, folder: Path, pictures: Path | None) -> Figures:
    """Start the server of a page, open it in a new browser, and return the figures."""
    with training(package, folder) as log, serving(package, folder) as port, tempfile.TemporaryDirectory() as profile:
        counter, driver = Counter(port), browser(profile)
        try:
            return figures(driver, package, counter, log, pictures)
        finally:
            driver.quit()
            counter.stop()


def figures(driver: Any, package: Package, counter: Counter, log: Callable[[], None], pictures: Path | None) -> Figures:
    """Return the figures of a page that is opened now."""
    found: Figures = {}
    root = f"http://127.0.0.1:{counter.port}/"
    driver.get("about:blank")
    counter.taken()
    begin = time.perf_counter()
    driver.get(root + package.address)
    for what, condition in (("table", package.table), ("chart", package.chart)):
        if what == "chart" and package.chart_address:
            driver.get(driver.execute_script(f"return {package.chart_address}"))
        try:
            wait_for(
                lambda condition=condition: driver.execute_script(f"return {condition}"), f"{package.name}: {what}"
            )
            found[what] = time.perf_counter() - begin
        except TimeoutError:
            found[what] = math.inf
    if pictures:
        driver.save_screenshot(str(pictures / f"{package.name}.png"))
    found["bytes"] = counter.taken()
    time.sleep(STILL)
    counter.taken()
    time.sleep(IDLE)
    found["idle"] = counter.taken() / IDLE
    for _ in range(RECORDS):
        log()
        time.sleep(1)
    found["live"] = counter.taken() / RECORDS
    if package.name == "refunc":
        found["pan"] = frames(driver)
    return found


def frames(driver: Any) -> float:
    """Return the frames in a second while twenty curves are moved, or as many as there are runs."""
    driver.execute_script("document.querySelector('#clear').click()")
    wanted = driver.execute_script(
        "const found = [...document.querySelectorAll('#table tbody input')].slice(0, 20);"
        "found.forEach(e => e.click()); return found.length"
    )
    count = "document.querySelector('.chart')?.chart.curves.length"
    wait_for(lambda: driver.execute_script(f"return {count}") == wanted, f"refunc: {wanted} curves")
    time.sleep(3)
    found: float = driver.execute_async_script(PAN)
    return found


def environment(package: Package, folder: Path, port: int = 0) -> dict[str, str]:
    """Return the variables of the package's processes."""
    return {**os.environ, **package.variables(folder), "GRADIO_SERVER_PORT": str(port)}


@contextmanager
def serving(package: Package, folder: Path) -> Iterator[int]:
    """Yield the port of a server of the package's page."""
    port = free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(package.command(folder, port), **quiet, env=environment(package, folder, port))
    try:
        wait_for(lambda: answers(port), f"{package.name}: the server")
        yield port
    finally:
        end(server)


@contextmanager
def training(package: Package, folder: Path) -> Iterator[Callable[[], None]]:
    """Yield a function that adds a record to a run that goes on, which is the newest."""
    command = [sys.executable, __file__, "--live", str(folder), "--only", package.name]
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(package, folder),
        cwd=folder,
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def log() -> None:
        assert process.stdin is not None
        process.stdin.write("one more\n")
        process.stdin.flush()

    try:
        while process.stdout.readline() != "ready\n":
            assert process.poll() is None, f"{package.name} does not train"
        yield log
    finally:
        process.stdin.close()
        end(process)


def train_on(package: Package, folder: Path) -> None:
    """Log some records, and one more for each line of stdin."""
    log = package.live(folder)
    for step in range(20):
        log(step, 1 / (1 + step))
    time.sleep(1)
    print("ready", flush=True)
    for step, _ in enumerate(sys.stdin, 20):
        log(step, 1 / (1 + step))


def end(process: subprocess.Popen[Any]) -> None:
    process.terminate()
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def browser(profile: str) -> Any:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("headless", "no-sandbox", "disable-gpu", "no-first-run", "disable-background-networking"):
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={profile}")
    options.add_argument("--window-size=1600,900")
    found = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    found.set_script_timeout(PATIENCE)  # a page that draws a million points answers nothing meanwhile
    return found


def wait_for(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.01)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def answers(port: int) -> bool:
    """Whether a server answers: some open their port long before."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("GET", "/")
        return connection.getresponse().status > 0
    except OSError:
        return False
    finally:
        connection.close()


def write(package: Package, folder: Path, runs: int, points: int) -> None:
    """Have the package write its runs, in a process of its own; nothing is done if it has them."""
    done, wanted = folder / "made.txt", f"{runs} {points}"
    if done.exists() and done.read_text() == wanted:
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    began = time.perf_counter()
    sizes = ["--runs", str(runs), "--points", str(points)]
    command = [sys.executable, __file__, "--write", str(folder), "--only", package.name, *sizes]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    subprocess.run(command, check=True, **quiet, cwd=folder, env=environment(package, folder))
    print(f"{package.name}: written in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    done.write_text(wanted)


def seconds(value: float) -> str:
    return f"{value:.2f} s" if value < PATIENCE else f"over {PATIENCE:.0f} s"


def show(found: dict[str, list[Figures]]) -> None:
    """Print the medians as a table of Markdown."""
    load = os.getloadavg()[2]
    print(f"{platform.machine()}, {os.cpu_count()} cores, load {load:.1f}, Python {platform.python_version()}")
    print("\n| | first table | first chart | until then | idle | a record | panning |\n|---|--:|--:|--:|--:|--:|--:|")
    for name, rounds in found.items():
        if not rounds:
            continue
        middle = {key: statistics.median(each[key] for each in rounds) for key in rounds[0]}
        pan = f"{middle['pan']:.0f} frames/s" if "pan" in middle else ""
        print(
            f"| {name} | {seconds(middle['table'])} | {seconds(middle['chart'])} | {middle['bytes'] / 1000:,.0f} KB "
            f"| {middle['idle']:,.0f} B/s | {middle['live']:,.0f} B | {pan} |"
        )


def main() -> None:
    """Write the runs, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", action="append", choices=[package.name for package in PACKAGES])
    parser.add_argument("--work", type=Path, help="a folder that keeps the runs for another time")
    parser.add_argument("--pictures", type=Path, help="a folder for a picture of each page with its chart")
    parser.add_argument("--write", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--live", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    packages = [package for package in PACKAGES if not asked.only or package.name in asked.only]
    if asked.write:
        return packages[0].write(asked.write, asked.runs, asked.points)
    if asked.live:
        return train_on(packages[0], asked.live)
    with tempfile.TemporaryDirectory() as name:
        work = asked.work or Path(name)
        for package in packages:
            write(package, work / package.name, asked.runs, asked.points)
        found: dict[str, list[Figures]] = {package.name: [] for package in packages}
        for number in range(asked.rounds):
            for package in packages:
                folder = Path(name) / f"{package.name}-{number}"
                shutil.copytree(work / package.name, folder)  # each round adds a run
                try:
                    found[package.name].append(measure(package, folder, asked.pictures))
                except TimeoutError as error:
                    print(f"{error}: nothing within {PATIENCE:.0f} s", file=sys.stderr)
                shutil.rmtree(folder, ignore_errors=True)
        show(found)
    return None


if __name__ == "__main__":
    main()
