"""
The cost of reading runs back: refunc beside pandas, pyarrow and MLflow, on the same numbers, in one run.

    tox -e reading
    python benchmarks/reading.py [--rounds 5] [--runs 1000] [--points 10000] [--skip-mlflow] [--markdown]

It writes, with refunc's own writer, a store of `--runs` runs with `--points` points each, a run with one metric of
1,000,000 points (long), and one with 10 metrics of 100,000 (wide). Of the last two it makes Parquet files, with
pyarrow's defaults, and MLflow runs on SQLite, whose rows are put into MLflow's own tables: `log_batch` would take
minutes, and only the reading is measured.

Readers take turns within a round, each opening its source again, and give all points with step, time and value.
`refunc ls` and `refunc export` are whole commands, Python's start included. Ratios are those of minima, since the rest
is other people's work. `first` is without an index, which it makes on the way, in as many processes as there are
cores; otherwise the index is there.

With `--growth`, it shows how the answers grow instead: the same commands on stores of 1,000 to 10,000 runs, on one run
of 1 to 10 million points, and on one of 5,000 to 50,000 names of metrics; for the runs beside MLflow's `search_runs` on
SQLite, and trackio, as far as they are installed. These figures are seconds of the processor, so that a busy machine
disturbs them less; refunc's are of the whole command with all its processes, the others' of the answer alone.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import searching
from stores import copy_runs, write_mlflow, write_names, write_parquet, write_run

LONG, WIDE, SERIES = 1_000_000, 100_000, 10


# -- measuring ---------------------------------------------------------------------------------------------------------


def seconds(read: Callable[[], int], points: int) -> float:
    """Return how long *read* takes, which must find so many points."""
    begin = time.perf_counter()
    found = read()
    took = time.perf_counter() - begin
    assert found == points, (found, points)
    return took


def command(*arguments: str) -> float:
    """Return how long a command line takes."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


def forget_index() -> bool:
    """Remove the index, and say that it is gone."""
    shutil.rmtree(os.environ["REFUNC_CACHE"], ignore_errors=True)
    return True


def by_turns(readers: dict[str, Callable[[], int]], points: int, rounds: int) -> dict[str, float]:
    """Return the fastest of *rounds* readings of each."""
    best: dict[str, float] = {}
    for _ in range(rounds):
        for name, read in readers.items():
            best[name] = min(best.get(name, float("inf")), seconds(read, points))
    return best


def measure(place: Path, rounds: int, runs: int, points: int, *, mlflow: bool) -> list[list[str]]:
    import pandas
    import pyarrow.parquet

    from refunc.runs import open_store

    store, large = place / "runs", place / "large"
    print(f"writing {runs:,} runs of {points:,} points …", file=sys.stderr)
    for number in range(runs):
        write_run(store, f"run{number}", 1, points)
    write_run(large, "long", 1, LONG)
    write_run(large, "wide", SERIES, WIDE)
    rows = [["", "refunc", "others", "ratio", "goal"]]

    def row(title: str, ours: float, others: dict[str, float], goal: str, ratio: str = "") -> None:
        told = ", ".join(f"{name} {_time(took)}" for name, took in others.items()) or "–"
        rows.append([title, _time(ours), told, ratio or "–", goal])
        print("   ".join(rows[-1]), file=sys.stderr)

    client = None
    if mlflow:
        import mlflow as package

        os.chdir(place)
        client = package.MlflowClient(f"sqlite:///{place}/mlflow.db")
    for name, count in (("long", 1), ("wide", SERIES)):
        run = open_store(large)[name]
        total = sum(map(len, run.metrics().values()))
        write_parquet(run, place / f"{name}.parquet")
        names = list(run.metrics())

        def read_refunc(name: str = name) -> int:
            return sum(map(len, open_store(large)[name].metrics().values()))

        def read_arrow(name: str = name, count: int = count) -> int:
            return int(pyarrow.parquet.read_table(place / f"{name}.parquet").num_rows) * count

        def read_pandas(name: str = name, count: int = count) -> int:
            return len(pandas.read_parquet(place / f"{name}.parquet")) * count

        readers = {"refunc": read_refunc, "pyarrow": read_arrow, "pandas": read_pandas}
        took = by_turns(readers, total, rounds)
        if client is not None:
            identity = write_mlflow(run, client, place / "mlflow.db")

            def read_mlflow(identity: str = identity, names: list[str] = names, client: Any = client) -> int:
                return sum(len(client.get_metric_history(identity, name)) for name in names)

            took |= by_turns({"MLflow": read_mlflow}, total, 1)
        ours = took.pop("refunc")
        ratios = [f"{ours / took['pyarrow']:.2f} × pyarrow", f"{ours / took['pandas']:.2f} × pandas"]
        ratios += [f"{took['MLflow'] / ours:,.0f} × faster than MLflow"] if "MLflow" in took else []
        goal = "≤ 3 × pandas, ≥ 20 × MLflow" if name == "long" else "≤ 1.5 × pyarrow, ≥ 50 × MLflow"
        row(f"1,000,000 points, {name}", ours, took, goal, ", ".join(ratios))
        first = [seconds(read_refunc, total) for _ in range(rounds) if forget_index()]
        row("the same, first", min(first), {}, "–")
    refunc = ("-m", "refunc", "--store", str(store))
    table = f"{runs:,} runs × {points:,} points"
    row(f"refunc ls, {table}, first", min(command(*refunc, "ls") for _ in range(rounds) if forget_index()), {}, "–")
    start = min(command("-c", "pass") for _ in range(rounds))
    row("refunc ls", min(command(*refunc, "ls") for _ in range(rounds)), {"python -c pass": start}, "< 0.5 s")
    export = (*refunc, "export", "-o", str(place / "all.parquet"))
    row("refunc export to parquet, first", min(command(*export) for _ in range(rounds) if forget_index()), {}, "< 30 s")
    assert pyarrow.parquet.ParquetFile(place / "all.parquet").metadata.num_rows == runs * points
    row("refunc export to parquet", min(command(*export) for _ in range(rounds)), {}, "< 30 s")
    best = (*refunc, "ls", "--sort=metrics.metric0.min", "-n", "1")
    row("which was best: refunc ls --sort", min(command(*best) for _ in range(rounds)), {}, "–")
    row("the same, first", min(command(*best) for _ in range(rounds) if forget_index()), {}, "–")
    return rows


# -- growth ------------------------------------------------------------------------------------------------------------

#: The commands for a store of many runs, for a run of many points, and for one of many names.
QUESTIONS = {
    "runs": (
        ("ls", "-n", "20"),
        ("ls", "--where", "metrics.metric0 < 0.05 and status == 'completed'", "-n", "20"),
        ("ls", "--sort=-metrics.metric0.max", "-n", "20"),
    ),
    "points": (("show",), ("logs",), ("tail",)),
    "names": (("show",), ("export", "-o", "all.csv"), ("report", "-o", "page.html")),
}


def processor(*arguments: str) -> float:
    """Return the seconds of the processor that a command line takes, with those of all its processes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], stdout=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ask_others(place: Path, count: int, rounds: int) -> dict[str, list[str]]:
    """Return the time of each question in other trackers, with *count* runs; a tracker that is missing has dashes."""
    found: dict[str, list[str]] = {}
    for name in ("mlflow", "trackio"):
        folder = place / f"{name}{count}"
        folder.mkdir()
        if importlib.util.find_spec(name) is None:
            found[name] = ["–"] * len(searching.QUESTIONS)
            continue
        print(f"writing {count:,} runs of {name} …", file=sys.stderr)
        asked = [sys.executable, searching.__file__, name, str(folder)]
        subprocess.run([*asked, str(count)], check=True, stderr=subprocess.DEVNULL)
        found[name] = [
            _time(min(float(subprocess.check_output([*asked, question])) for _ in range(rounds)))
            for question in searching.QUESTIONS
        ]
    return found


def measure_growth(place: Path, rounds: int) -> list[list[str]]:
    rows = [["store", "command", "first", "then", "MLflow", "trackio"]]
    others: dict[str, list[str]] = {}
    start = min(processor("-m", "refunc", "--version") for _ in range(rounds))
    rows.append(["–", "refunc --version", "–", _time(start), "–", "–"])
    for noun, counts in (("runs", (1_000, 10_000)), ("points", (1_000_000, 10_000_000)), ("names", (5_000, 50_000))):
        for count in counts:
            store = place / f"{noun}{count}"
            if noun == "names":
                write_names(store, count)
            else:
                write_run(store, "run", 1, count if noun == "points" else 100)
            if noun == "runs":
                copy_runs(store, count)
                others = ask_others(place, count, rounds)
            for number, question in enumerate(QUESTIONS[noun]):
                given = [str(place / part) if part.startswith(("all.", "page.")) else part for part in question]
                forget_index()
                begun = time.perf_counter()
                first = processor("-m", "refunc", "--store", str(store), *given)
                by_clock = f", {_time(time.perf_counter() - begun)} by the clock" if noun == "points" else ""
                if noun == "points":  # a search for lines does not read the points
                    processor("-m", "refunc", "--store", str(store), "show")
                then = min(processor("-m", "refunc", "--store", str(store), *given) for _ in range(rounds))
                beside = [times[number] for times in others.values()] if noun == "runs" else ["–", "–"]
                rows.append([f"{count:,} {noun}", " ".join(question), _time(first) + by_clock, _time(then), *beside])
                print("   ".join(rows[-1]), file=sys.stderr)
            shutil.rmtree(store)
    return rows


def _time(took: float) -> str:
    return f"{took:.2f} s" if took >= 1 else f"{took * 1_000:.1f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runs", type=int, default=1_000)
    parser.add_argument("--points", type=int, default=10_000)
    parser.add_argument("--skip-mlflow", action="store_true")
    parser.add_argument("--markdown", action="store_true")
    parser.add_argument("--growth", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reading-") as place:
        os.environ["REFUNC_CACHE"] = str(Path(place, "cache"))
        # The commands' own bytecode, as an installed package has it, wherever it may be written.
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(place, "bytecode")))
        loads = [os.getloadavg()[0]]
        if given.growth:
            rows = measure_growth(Path(place), given.rounds)
        else:
            rows = measure(Path(place), given.rounds, given.runs, given.points, mlflow=not given.skip_mlflow)
        loads.append(os.getloadavg()[0])
    load = ", ".join(f"{each:.1f}" for each in loads)
    print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores; minimum of {given.rounds} rounds; load {load}\n"
    )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for number, row in enumerate(rows):
        if given.markdown:
            print(f"| {' | '.join(row)} |" + (f"\n|{' --- |' * len(row)}" if number == 0 else ""))
        else:
            print("   ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    main()
