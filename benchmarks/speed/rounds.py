"""Rounds: each case once a round, in a process and a folder of its own, one at a time."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from contenders import environment
from families import FAMILIES
from measuring import Figures

#: The figures of all rounds, by family and case, one item a round.
Results = dict[str, dict[str, list[Figures]]]

#: Seconds after which a case is given up.
DEADLINE = 180.0


def run(chosen: dict[str, list[str]], rounds: int) -> Results:
    """Measure the chosen cases of each family, round by round; a case that fails is told of on stderr and left out."""
    results: Results = {family: {name: [] for name in names} for family, names in chosen.items()}
    # Ctrl-C ends it, and shows the figures so far.
    with suppress(KeyboardInterrupt), tempfile.TemporaryDirectory(prefix="refunc-speed-") as place:
        for number in range(rounds):
            for family, names in chosen.items():
                if number >= FAMILIES[family].rounds:
                    continue
                for name in names:
                    began = time.monotonic()
                    figures = _measured(family, name, Path(place))
                    taken = time.monotonic() - began
                    print(f"round {number + 1}  {family:12} {name:32} {taken:5.1f} s", file=sys.stderr, flush=True)
                    if figures is not None:
                        results[family][name].append(figures)
    return results


def count(results: Results) -> int:
    """Return how many rounds there were."""
    return max((len(found) for cases in results.values() for found in cases.values()), default=0)


def _measured(family: str, name: str, place: Path) -> Figures | None:
    with tempfile.TemporaryDirectory(dir=place, ignore_cleanup_errors=True) as folder, _errors(family) as errors:
        ours, theirs = os.pipe()
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent), "--measure", family, name, str(theirs)],
            cwd=folder,
            env={**environment(Path(folder)), "PYTHONWARNINGS": "ignore", "OPENBLAS_NUM_THREADS": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[theirs],
        )
        os.close(theirs)
        try:
            process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        with os.fdopen(ours) as answer:
            found: Any = json.loads(answer.read() or "null")
        if found is None:
            said = Path(errors.name).read_text(errors="replace")[-1500:] if isinstance(errors.name, str) else ""
            print(f"{family} {name}: failed\n{said}", file=sys.stderr, flush=True)
        return found


@contextmanager
def _errors(family: str) -> Iterator[Any]:
    """Yield the stderr of a case: a file to look into, or a terminal that a thread here reads away."""
    if not FAMILIES[family].on_terminal:
        with tempfile.NamedTemporaryFile() as file:
            yield file
        return
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    reader = threading.Thread(target=_read_away, args=(screen,), daemon=True)
    reader.start()
    with os.fdopen(terminal, "wb") as file:
        yield file
    reader.join(5)
    os.close(screen)


def _read_away(screen: int) -> None:
    try:
        while os.read(screen, 1 << 16):
            pass
    except OSError:  # the terminal is closed
        pass
