"""
Whether the interpreter is ending, and the one place where a thread of a training is started.

Python ends in steps: it waits for the threads that are not daemons, runs the `atexit` handlers, and then takes the
modules apart, which calls `__del__` and the `finally` of generators. A thread that is started in the last step never
runs: up to Python 3.11, the call that starts it waits for it for ever. From 3.12 on Python refuses it in all three.
"""

from __future__ import annotations

import sys
import threading


def is_ending() -> bool:
    """Whether the main thread's program is over: from the moment when Python waits for the other threads."""
    if sys.is_finalizing():
        return True
    # Set before the pools of concurrent.futures are waited for, in which the main thread still counts as alive.
    return getattr(threading, "_SHUTTING_DOWN", False) or not threading.main_thread().is_alive()


def start(thread: threading.Thread) -> bool:
    """Start *thread*; False if the interpreter is ending, or no thread can be started."""
    if is_ending():
        return False
    try:
        thread.start()
    except RuntimeError:  # a limit, a subinterpreter that refuses daemons, or the interpreter has begun to end
        return False
    return True
