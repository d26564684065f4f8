"""
The steps that are left when things go wrong: W&B offline, trackio, MLflow and refunc, side by side in one run.

    pip install ./refunc-core ./refunc-commands ./refunc-mlflow mlflow==3.17.2 wandb==0.31.0 trackio==0.43.0 psutil
    python benchmarks/head_to_head.py [--rounds 5] [--pace 1.0] [--jobs 2] [--markdown]
                                      [--only "refunc to MLflow"] [--case kill]

A training is a process of its own that logs one metric 500 times, `--pace` milliseconds apart, and says over a pipe
which calls have returned. Then the event that names the case happens. When the training and every process that it
started are gone, at most a minute and a half later, the steps are counted by the package's own reader or, where there
is a server, by asking it. `contenders.py` says how each package is used.

- All cases but the first, the fork and the outages end without `finish()` or its like.
- SIGTERM and `kill -9` are sent by the training to itself, one pace behind the last call; no package is told before.
- fork: after 250 steps a `multiprocessing` child forks; both log 250, then the child sleeps for 1.5 s before it ends,
  which is time for every package's background thread, and the parent ends the run properly. Of 750.
- outage of 20 s: the server is killed after 250 steps and started again 20 s later; the training ends properly.
- outage beyond the end: the server is started again when the training's process is gone.
- A training that has not ended in 60 s (in the first outage: since the server is back; in the second: since it went)
  is killed, as a scheduler would, and counted as `not ended`. In the second outage that need not be a hang: MLflow's
  client tries each request again for about four minutes.

No account, no network beyond this machine. Packages take turns within a round, `--jobs` at a time, because most of the
time is waiting. The servers are MLflow's own on SQLite, with one worker. Numbers are minimum / median over the rounds.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import platform
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from contenders import CONTENDERS, Contender
from server import QUIET, Server
from trainings import DEADLINE, HALF, STEPS, Training, wait

OUTAGE = 20.0
CASES = {
    "finish": "run ended properly",
    "exit": "script ends without `finish()`",
    "term": "SIGTERM",
    "kill": "`kill -9`",
    "later": "`kill -9`, 0.2 s later",
    "late": "`kill -9`, 2 s later",
    "quit": "`os._exit`",
    "fork": "fork, both log (of 750)",
}
OUTAGES = {"outage": "outage of 20 s", "beyond": "outage beyond the training's end"}

# -- a measurement -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Result:
    """One training of one contender in one case: steps kept, and how the training fared; *longest* is behind half."""

    kept: int
    twice: int
    elsewhere: int
    ended: bool
    seconds: float
    longest: float
    raised: int
    silent: int

    def __str__(self) -> str:
        return (
            f"{self.kept} kept, {self.twice} twice, {self.elsewhere} elsewhere, "
            f"{'ended' if self.ended else 'NOT ENDED'} in {self.seconds:.1f} s, "
            f"longest call {self.longest * 1000:.1f} ms, {self.raised} raised, {self.silent} not reached"
        )


def measure(contender: Contender, case: str, name: str, root: Path, server: Server | None, pace: float) -> Result:
    folder = root / f"{CONTENDERS.index(contender)}-{name}"
    folder.mkdir()
    training = Training(contender, case, name, server.uri if server else "", folder, pace)
    if server and case in OUTAGES:
        wait(lambda: training.logged(HALF), DEADLINE, pause=0.001)
        server.kill()
        if case == "outage":
            time.sleep(OUTAGE)
            server.start()
    ended = training.ends_in_time()
    if server and case == "beyond":
        server.start()
    training.settle()
    runs = contender.read(folder, name, server.uri if server else "")
    found = [step for steps in runs for step in steps]
    times = [float(rest[0]) for word, *rest in training.words if word == "returned"]
    raised = sum(word == "raised" for word, *_ in training.words)
    silent = (STEPS + HALF if case == "fork" else STEPS) - raised - len(times)
    if silent:  # the call in which it was ended
        times.append(training.seconds - (training.heard - training.began))
    return Result(
        len(set(found)),
        len(found) - len(set(found)),
        len(set(found)) - max((len(set(steps)) for steps in runs), default=0),
        ended,
        training.seconds,
        max(times[HALF:], default=0.0),
        raised,
        silent,
    )


Results = dict[tuple[str, str], list[Result]]


def run(contenders: list[Contender], cases: list[str], rounds: int, pace: float, jobs: int) -> Results:
    """Measure all contenders in all cases, round by round."""
    results: Results = {}
    with tempfile.TemporaryDirectory(prefix="head-to-head-") as place, ExitStack() as stack:
        servers: dict[str, Server] = {}
        for index, contender in enumerate(contenders):
            if contender.served:
                (folder := Path(place) / f"server-{index}").mkdir()
                servers[contender.name] = stack.enter_context(Server(folder))

        def take(contender: Contender, number: int) -> None:
            for case in cases:
                if case in OUTAGES and not contender.served:
                    continue
                server = servers.get(contender.name)
                result = measure(contender, case, f"{case}-{number:02}", Path(place), server, pace)
                results.setdefault((contender.name, case), []).append(result)
                print(f"round {number}  {contender.name:18} {case:8} {result}", file=sys.stderr, flush=True)

        for number in range(1, rounds + 1):
            with ThreadPoolExecutor(jobs) as pool:
                slowest_first = sorted(contenders, key=lambda contender: not contender.served)
                list(pool.map(take, slowest_first, [number] * len(contenders)))
    return results


# -- the table ---------------------------------------------------------------------------------------------------------


def cell(results: list[Result]) -> str:
    """Return minimum / median of the steps kept, and whatever else there is to say."""
    if not results:
        return "–"
    kept = [result.kept for result in results]
    said = [f"{min(kept)} / {statistics.median(kept):.0f}"]
    for word, counts in (
        ("not ended", [not result.ended for result in results]),
        ("twice", [result.twice for result in results]),
        ("in another run", [result.elsewhere for result in results]),
        ("calls raised", [result.raised for result in results]),
        ("steps not reached", [result.silent for result in results]),
    ):
        if any(counts):
            said.append(f"{sum(counts)} {word}" if word == "not ended" else f"{max(counts)} {word}")
    return ", ".join(said)


def rows(contenders: list[Contender], results: Results) -> tuple[list[list[str]], list[list[str]]]:
    """Return the two tables: the steps that are kept, and the effect of an outage on the training."""
    first = [["of 500 steps", *(contender.name for contender in contenders)]]
    for case, title in CASES.items():
        if any((contender.name, case) in results for contender in contenders):
            first.append([title, *(cell(results.get((contender.name, case), [])) for contender in contenders)])
    second = [
        ["MLflow's server is away", "in the store", "longest call meanwhile, of all rounds", "training took, median"]
    ]
    for case, title in OUTAGES.items():
        for contender in contenders:
            if found := results.get((contender.name, case)):
                longest = f"{max(result.longest for result in found) * 1000:,.1f} ms"
                seconds = f"{statistics.median(result.seconds for result in found):.0f} s"
                second.append([f"{title}: {contender.name}", cell(found), longest, seconds])
    return first, second


def show(table: list[list[str]], markdown: bool) -> None:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for number, row in enumerate(table):
        if markdown:
            print(f"| {' | '.join(row)} |")
        else:
            print("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
        if markdown and number == 0:
            print("|" + " --- |" * len(row))
    print()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pace", type=float, default=1.0, help="milliseconds between two steps")
    parser.add_argument("--jobs", type=int, default=2, help="packages that are measured at the same time")
    parser.add_argument("--only", action="append", help="a contender's name; may be given more than once")
    parser.add_argument("--case", action="append", choices=[*CASES, *OUTAGES], help="may be given more than once")
    parser.add_argument("--markdown", action="store_true")
    chosen = parser.parse_args()
    os.environ.update(QUIET)
    contenders = [contender for contender in CONTENDERS if not chosen.only or contender.name in chosen.only]
    cases = chosen.case or [*CASES, *OUTAGES]
    results = run(contenders, cases, chosen.rounds, chosen.pace / 1000, chosen.jobs)
    packages = [f"{name} {importlib.metadata.version(name)}" for name in ("wandb", "trackio", "mlflow", "refunc-core")]
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores"
    print(f"{', '.join(packages)}; {machine}; {chosen.rounds} rounds, {chosen.pace:g} ms a step; minimum / median\n")
    for table in rows(contenders, results):
        if len(table) > 1:
            show(table, chosen.markdown)


if __name__ == "__main__":
    main()
