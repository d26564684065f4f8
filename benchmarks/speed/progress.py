"""Progress of a loop that does nothing else, drawn on a real pseudo-terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from measuring import Figures

#: Steps of a loop: the cost of a step is between tens of nanoseconds and tens of microseconds.
STEPS = 200_000


def bare(steps: int) -> None:
    for _ in range(steps):
        pass


def tqdm_iterator(steps: int) -> None:
    from tqdm import tqdm

    for _ in tqdm(range(steps)):
        pass


def tqdm_update(steps: int) -> None:
    from tqdm import tqdm

    with tqdm(total=steps) as bar:
        update = bar.update
        for _ in range(steps):
            update(1)


def tqdm_metrics(steps: int) -> None:
    from tqdm import tqdm

    with tqdm(total=steps) as bar:
        for number in range(steps):
            bar.set_postfix({"loss": 0.5 + number, "accuracy": 0.25}, refresh=False)
            bar.update(1)


def rich_track(steps: int) -> None:
    from rich.progress import track

    for _ in track(range(steps), console=_rich_console()):
        pass


def rich_advance(steps: int) -> None:
    from rich.progress import Progress

    with Progress(console=_rich_console()) as progress:
        task = progress.add_task("steps", total=steps)
        for _ in range(steps):
            progress.advance(task)


def _rich_console() -> object:
    from rich.console import Console

    return Console(file=sys.stderr)


def refunc_track(steps: int) -> None:
    from refunc.logging import ProgressTracker

    for _ in ProgressTracker(steps, "steps").track(range(steps)):
        pass


def refunc_track_generator(steps: int) -> None:
    from refunc.logging import ProgressTracker

    for _ in ProgressTracker(steps, "steps").track(_numbers(range(steps))):
        pass


def refunc_update(steps: int) -> None:
    from refunc.logging import ProgressTracker

    with ProgressTracker(steps, "steps") as tracker:
        update = tracker.update
        for _ in range(steps):
            update(1)


def refunc_metrics(steps: int) -> None:
    from refunc.logging import ProgressTracker

    with ProgressTracker(steps, "steps") as tracker:
        for number in range(steps):
            tracker.update(1, {"loss": 0.5 + number, "accuracy": 0.25})


def bare_generator(steps: int) -> None:
    for _ in _numbers(range(steps)):
        pass


def rich_track_generator(steps: int) -> None:
    from rich.progress import track

    for _ in track(_numbers(range(steps)), total=steps, console=_rich_console()):
        pass


def _numbers(numbers: Iterable[int]) -> Iterable[int]:
    yield from numbers


#: A loop, and the one whose time is taken off it.
CASES: dict[str, tuple[Callable[[int], None], Callable[[int], None], int]] = {
    "tqdm iterator": (tqdm_iterator, bare, STEPS),
    "tqdm update(1)": (tqdm_update, bare, STEPS),
    "tqdm update + set_postfix": (tqdm_metrics, bare, STEPS // 4),
    "rich track": (rich_track, bare, STEPS),
    "rich track, generator": (rich_track_generator, bare_generator, STEPS),
    "rich advance": (rich_advance, bare, STEPS // 4),
    "refunc track": (refunc_track, bare, STEPS),
    "refunc track, generator": (refunc_track_generator, bare_generator, STEPS),
    "refunc update(1)": (refunc_update, bare, STEPS),
    "refunc update(1, {2 metrics})": (refunc_metrics, bare, STEPS),
}


def measure(name: str) -> Figures:
    """Return the seconds of a step over those of a bare loop, and the processor time of all threads for one."""
    loop, without, steps = CASES[name]
    loop(1_000)  # imports, and a first drawing
    best = min(_seconds(without, steps)[0] for _ in range(10))
    wall, cpu = min(_seconds(loop, steps) for _ in range(8))
    return {"step": (wall - best) / steps, "cpu": (cpu - best) / steps}


def _seconds(loop: Callable[[int], None], steps: int) -> tuple[float, float]:
    cpu, began = time.process_time(), time.perf_counter()
    loop(steps)
    return time.perf_counter() - began, time.process_time() - cpu
