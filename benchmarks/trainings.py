"""One training of `head_to_head.py`: its work in a process of its own, and how it is watched from outside."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
from contenders import CONTENDERS, METRIC, Contender, environment

STEPS, HALF = 500, 250
DEADLINE, GRACE = 60.0, 90.0
MARK = "HEAD_TO_HEAD_TRAINING"


def train(contender: Contender, case: str, name: str, uri: str, pipe: int, pace: float) -> None:
    """Log, and end as *case* says."""
    os.set_inheritable(pipe, False)
    log, finish = contender.start(name, uri)

    def steps(numbers: Iterable[int]) -> None:
        for number in numbers:
            began = time.perf_counter()
            try:
                log({METRIC: number}, step=number)
            except Exception as error:
                os.write(pipe, f"raised {type(error).__name__}\n".encode())
            else:
                os.write(pipe, f"returned {time.perf_counter() - began}\n".encode())
            time.sleep(pace)

    def work() -> None:
        steps(range(STEPS, STEPS + HALF))
        time.sleep(1.5)

    steps(range(HALF))
    worker = multiprocessing.get_context("fork").Process(target=work) if case == "fork" else None
    if worker is not None:
        worker.start()
    steps(range(HALF, STEPS))
    if worker is not None:
        worker.join()
    end(case)
    if case in {"finish", "fork", "outage", "beyond"}:
        finish()


def end(case: str) -> None:
    match case:
        case "term":
            os.kill(os.getpid(), signal.SIGTERM)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "later" | "late":
            time.sleep(0.2 if case == "later" else 2.0)
            os.kill(os.getpid(), signal.SIGKILL)
        case "quit":
            os._exit(1)


class Training:
    """A training as its observer sees it."""

    def __init__(self, contender: Contender, case: str, name: str, uri: str, folder: Path, pace: float) -> None:
        self.mark = f"{folder.name}-{os.getpid()}"
        ours, theirs = os.pipe()
        arguments = [str(CONTENDERS.index(contender)), case, name, uri, str(theirs), str(pace)]
        self.began = time.monotonic()
        with (folder / "output.log").open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, __file__, *arguments],
                cwd=folder,
                env={**environment(folder), MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=[theirs],
            )
        os.close(theirs)
        self.words: list[list[str]] = []
        self.heard = self.began
        self.seconds = 0.0
        self._listener = threading.Thread(target=self._listen, args=(ours,), daemon=True)
        self._waiter = threading.Thread(target=self._wait, daemon=True)
        self._listener.start()
        self._waiter.start()

    def _listen(self, pipe: int) -> None:
        with os.fdopen(pipe) as lines:
            for line in lines:
                self.words.append(line.split())
                self.heard = time.monotonic()

    def _wait(self) -> None:
        self.process.wait()
        self.seconds = time.monotonic() - self.began

    def logged(self, count: int) -> bool:
        return len(self.words) >= count or self.ended()

    def ended(self) -> bool:
        return not self._waiter.is_alive()

    def ends_in_time(self) -> bool:
        """Wait for its end; one that is too late is killed, its helpers are not."""
        if not wait(self.ended, DEADLINE):
            for process in self.helpers():
                if __file__ in process.cmdline():  # itself and the children that it forked
                    process.kill()
            self._waiter.join()
            return False
        return True

    def helpers(self) -> list[psutil.Process]:
        """Return the processes that it has started, and itself."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark:
                    found.append(process)
            except psutil.Error:
                pass
        return found

    def settle(self) -> None:
        """Return when no process that it started is left; kill those that stay for long."""
        if not wait(lambda: not self.helpers(), GRACE, pause=0.25):
            for process in self.helpers():
                process.kill()
        self._listener.join(5)
        time.sleep(1)  # a request that the server was busy with


def wait(condition: Callable[[], object], seconds: float, pause: float = 0.02) -> bool:
    """Return whether *condition* came true in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(pause)
    return True


if __name__ == "__main__":
    index, case, name, uri, pipe, pace = sys.argv[1:]
    train(CONTENDERS[int(index)], case, name, uri, int(pipe), float(pace))
