"""
The measurements of a package in one process: latencies of its calls, and their cost until all is on disk.

The call under test builds its own dict, as users do. Two runs are opened one after the other: in the first each call is
timed, in the second nothing is, but the processor time of all threads and child processes is read before and after.
"""

from __future__ import annotations

import gc
import os
import resource
import statistics
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil

#: The results of a case, by name; times in seconds, sizes in bytes.
Figures = dict[str, float]


def nothing(*_: object) -> None:
    """Do nothing, as a call that costs the harness only, or an end that needs none."""


@dataclass(frozen=True)
class Work:
    """A package at work: *call* logs number n; *close* returns when all is on disk, *settle* when no more is queued."""

    call: Callable[[int], object]
    close: Callable[[], object] = nothing
    settle: Callable[[], object] = nothing


def measure_calls(start: Callable[[str], Work], calls: int, folder: Path) -> Figures:
    """Return all figures of *calls* calls of the package that *start* opens, which keeps its files in *folder*."""
    warm_up = max(2, min(1_000, calls // 10))
    work = start("timed")
    for number in range(warm_up):
        work.call(number)
    work.settle()
    figures = latencies(work.call, min(calls, 20_000))
    work.close()
    work = start("counted")
    for number in range(warm_up):
        work.call(number)
    work.settle()
    return {**figures, **total(work, calls, folder), "memory": peak_memory()}


def latencies(call: Callable[[int], object], calls: int) -> Figures:
    """Return quantiles of the seconds that a call takes in a tight loop, less the time of reading the clock."""
    clock = time.perf_counter_ns
    taken = array("q", bytes(8 * calls))
    for number in range(calls):
        began = clock()
        call(number)
        taken[number] = clock() - began
    return quantiles(taken)


def quantiles(taken: array[int]) -> Figures:
    """Return p50, p99 and p999 of nanoseconds, in seconds and less the time of reading the clock."""
    ordered = sorted(taken)
    cost = clock_cost()
    return {
        name: max(0, ordered[min(len(ordered) - 1, int(len(ordered) * part))] - cost) / 1e9
        for name, part in (("p50", 0.5), ("p99", 0.99), ("p999", 0.999))
    }


def clock_cost() -> int:
    """Return the nanoseconds between two readings of the clock, with nothing between them."""
    clock = time.perf_counter_ns
    costs = []
    for _ in range(2_000):
        began = clock()
        costs.append(clock() - began)
    return int(statistics.median(costs))


def total(work: Work, calls: int, folder: Path) -> Figures:
    """Return the mean of a call, the time to close, and processor time and bytes on disk a call, closing included."""
    call = work.call
    gc.collect()
    before, cpu, began = bytes_in(folder), cpu_seconds(), time.perf_counter()
    for number in range(calls):
        call(number)
    called = time.perf_counter()
    work.close()
    closed = time.perf_counter()
    return {
        "mean": (called - began) / calls,
        "close": closed - called,
        "cpu": (cpu_seconds() - cpu) / calls,
        "bytes": (bytes_in(folder) - before) / calls,
    }


def block_mean(call: Callable[[int], object], calls: int = 20_000, blocks: int = 15) -> float:
    """Return the seconds of a call that is too short for a clock: the best of *blocks*, less those of an empty call."""

    def best(call: Callable[[int], object]) -> float:
        found = []
        for _ in range(blocks):
            began = time.perf_counter()
            for number in range(calls):
                call(number)
            found.append((time.perf_counter() - began) / calls)
        return min(found)

    return best(call) - best(nothing)


def durable_after(work: Work, folder: Path, patience: float = 3.0) -> float:
    """Return the seconds from the begin of a call until a file in *folder* has changed; infinite where none does."""
    found = []
    for number in range(3):
        quiet_since = time.perf_counter()
        seen = _state_of(folder)
        while time.perf_counter() - quiet_since < 0.3:
            time.sleep(0.02)
            if (now := _state_of(folder)) != seen:
                seen, quiet_since = now, time.perf_counter()
        began = time.perf_counter()
        work.call(number)
        while _state_of(folder) == seen:
            if time.perf_counter() - began > patience:
                return float("inf")
            time.sleep(0.0002)
        found.append(time.perf_counter() - began)
    return statistics.median(found)


def _state_of(folder: Path) -> list[tuple[str, int, int]]:
    found = []
    for path in _files(folder):
        try:
            status = path.stat()
        except OSError:  # it went meanwhile
            continue
        found.append((str(path), status.st_size, status.st_mtime_ns))
    return found


def bytes_in(folder: Path) -> int:
    """Return the bytes that the files in *folder* have."""
    return sum(path.stat().st_size for path in _files(folder))


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def cpu_seconds() -> float:
    """Return the processor time of all threads of this process and of all processes that it started."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = time.process_time() + ended.ru_utime + ended.ru_stime
    for child in psutil.Process().children(recursive=True):
        try:
            times = child.cpu_times()
        except psutil.Error:
            continue
        seconds += times.user + times.system
    return seconds


def peak_memory() -> float:
    """Return the peak of resident bytes of this process, and of its children that live."""
    return sum(map(_peak_of, [os.getpid(), *(child.pid for child in psutil.Process().children(recursive=True))]))


def _peak_of(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0.0)
