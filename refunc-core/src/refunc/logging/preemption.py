"""
Signals that say that the machine is needed for something else: `setup_logging(signals=("SIGTERM", "SIGUSR1"))`.

The handler has everything written and notes that runs end as `preempted`. Then comes the handler that was there before;
if that was the default action, the open runs are ended first, because the process ends with it, by the same signal.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Sequence
from functools import partial
from types import FrameType
from typing import Any, Final

from refunc.journal.kinds import PREEMPTED
from refunc.logging import current
from refunc.logging.notices import own_log
from refunc.outlets.pump import at_exit
from refunc.values.near import nearest

#: Signals that no process can handle.
_UNHANDLED: Final = frozenset({"SIGKILL", "SIGSTOP"})

#: By number: the handler before ours, and ours, of the process that installed them.
_installed: dict[int, tuple[Any, Callable[[int, FrameType | None], None]]] = {}


def watch(names: Sequence[str | int]) -> None:
    """
    Handle the signals *names*, and no longer those that an earlier call named.

    Raises:
        ValueError: One is not a signal of this system, or cannot be handled; or this is not the main thread.
    """
    numbers = [_number(name) for name in ((names,) if isinstance(names, (str, int)) else names)]
    if (numbers or _installed) and threading.current_thread() is not threading.main_thread():
        raise ValueError(
            "signals: Python handles signals in the main thread only. Call setup_logging(signals=...) there."
        )
    for number in [number for number in _installed if number not in numbers]:
        before, ours = _installed.pop(number)
        if signal.getsignal(number) is ours:
            signal.signal(number, before)
    for number in numbers:
        if number not in _installed or signal.getsignal(number) is not _installed[number][1]:
            before = signal.getsignal(number)
            ours = partial(_handle, os.getpid())
            _installed[number] = (before, ours)
            signal.signal(number, ours)


def _number(name: object) -> int:
    known = {each.name: each.value for each in signal.Signals}
    plain = name.upper() if isinstance(name, str) else name
    for word, number in known.items():
        if plain in (word, word.removeprefix("SIG"), number) and type(name) in (str, int, signal.Signals):
            if word in _UNHANDLED:
                raise ValueError(f"signals: no process can handle {word}. SIGTERM comes before it on most clusters.")
            return int(number)
    close = nearest(str(plain), known, alike=0.5)
    hint = f" Did you mean {close[0]}?" if close else ""
    raise ValueError(f"signals: {name!r} is not a signal of this system.{hint}")


def _handle(pid: int, number: int, frame: FrameType | None) -> None:
    before = _installed[number][0] if number in _installed else signal.SIG_DFL
    if os.getpid() != pid:  # a worker inherited the handler, and is ended by its pool in this way
        _pass_on(before, number, frame)
        return
    if current.after_writing(partial(_handle, pid, number, frame)):
        return
    word = signal.Signals(number).name
    if not current.preempted_by:
        own_log.warning("%s: the runs of this process end as preempted.", word)
    current.preempted_by = word
    if before is signal.SIG_DFL:
        for run in reversed(tuple(current.open_runs())):
            if run.is_own:
                at_exit(partial(current.finish, run, PREEMPTED))
    else:
        for run in tuple(current.open_runs()):
            run.writer.flush(sync=True)
    _pass_on(before, number, frame)


def _pass_on(before: Any, number: int, frame: FrameType | None) -> None:
    if callable(before):
        before(number, frame)
    elif before is not signal.SIG_IGN:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
