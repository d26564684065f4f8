"""
One metric of a million points, from the click on its run to its curve on the screen, in Chromium.

    python benchmarks/pages/million.py [--runs 2] [--rounds 5] [--work FOLDER]

Each round has a server of its own, with a warm index and nothing in memory. The page shows other runs, which are
cleared; then the long ones are selected at once. `all` is the time from there until the chart with their curves is
painted. Of it, `metrics` and `curves` are the page's two questions, from asking to the first byte, which is the work of
the server; `transfer` is the rest of the second answer; `page` is all that is left: the browser's work.

It needs Chromium and its driver. Numbers are medians over the rounds, in milliseconds; the last column is the server's
processor time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import stores
from beside import answers, browser, end, free_port, wait_for

CLICK = """
const done = arguments[0], boxes = [...document.querySelectorAll("tr:has(a[title^='long-']) input")];
performance.clearResourceTimings();
const began = performance.now();
boxes.forEach(box => box.click());
(function look() {
  const chart = document.querySelector('.chart')?.chart;
  const isDrawn = chart?.curves.length === boxes.length && chart.caption.textContent.includes('points');
  if (!isDrawn) return void requestAnimationFrame(look);
  const all = performance.now() - began, asked = {all};
  for (const each of performance.getEntriesByType('resource')) {
    const name = each.name.match(/api\\/(metrics|curves)/)?.[1];
    if (!name) continue;
    asked[name] = each.responseStart - each.startTime;
    if (name === 'curves') asked.transfer = each.responseEnd - each.responseStart;
  }
  asked.page = all - asked.metrics - asked.curves - asked.transfer;
  done(asked);
})();
"""

IS_DRAWN = "return document.querySelector('.chart')?.chart.caption.textContent.includes('points')"
IS_CLEAR = "return document.querySelector('.chart') === null"


def processor(pid: int) -> float:
    """Return the milliseconds of processor time that a process has taken."""
    parts = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return 1000 * (int(parts[11]) + int(parts[12])) / os.sysconf("SC_CLK_TCK")


def measure(store: Path, cache: Path) -> dict[str, float]:
    """Return the milliseconds of one round."""
    port = free_port()
    command = [sys.executable, "-m", "refunc", "--store", str(store), "ui", "--port", str(port), "--token", "t"]
    environment = {**os.environ, "REFUNC_CACHE": str(cache)}
    server = subprocess.Popen([*command, "--no-open"], stdout=subprocess.DEVNULL, env=environment)
    try:
        wait_for(lambda: answers(port), "the server")
        with tempfile.TemporaryDirectory() as profile:
            driver: Any = browser(profile)
            try:
                driver.set_script_timeout(60)
                driver.get(f"http://127.0.0.1:{port}/?token=t")
                wait_for(lambda: driver.execute_script(IS_DRAWN), "other runs")
                driver.execute_script("document.querySelector('#clear').click()")
                wait_for(lambda: driver.execute_script(IS_CLEAR), "no run")
                before = processor(server.pid)
                found: dict[str, float] = driver.execute_async_script(CLICK)
                found["server"] = processor(server.pid) - before
                return found
            finally:
                driver.quit()
    finally:
        end(server)


def write(store: Path, runs: int, points: int) -> None:
    """Write long runs, and then others; nothing is done if they are there."""
    if not store.exists():
        store.mkdir(parents=True)
        for seed in range(runs):
            folder = stores.train(store, seed, points)
            birth = json.loads((folder / "run.json").read_text())
            (folder / "run.json").write_text(json.dumps({**birth, "run_name": f"long-{seed}"}))
        for seed in range(5):
            stores.train(store, seed, 10)


def warm(store: Path, cache: Path) -> None:
    """Have the index know the runs."""
    command = [
        sys.executable,
        "-m",
        "refunc",
        "--store",
        str(store),
        "ls",
        "--where",
        "metrics.loss.count > 0",
        "--json",
    ]
    quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "REFUNC_CACHE": str(cache)}}
    subprocess.run(command, check=True, **quiet)  # type: ignore[call-overload]


def main() -> None:
    """Write the runs, measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=2)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--work", type=Path, help="a folder that keeps the runs for another time")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        work = asked.work or Path(name)
        store = work / f"{asked.runs}-of-{asked.points}"
        write(store, asked.runs, asked.points)
        warm(store, work / "cache")
        rounds = [measure(store, work / "cache") for _ in range(asked.rounds)]
    columns = ("all", "metrics", "curves", "transfer", "page", "server")
    print(f"load {os.getloadavg()[0]:.1f}\n" + "".join(f"{column:>10}" for column in columns))
    print("".join(f"{statistics.median(each[column] for each in rounds):10.0f}" for column in columns))
    print(json.dumps(rounds[-1]))


if __name__ == "__main__":
    main()
