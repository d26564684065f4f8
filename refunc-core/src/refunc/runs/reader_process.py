"""
A process that reads journals for this one: starting it, asking it, and its side, which answers one request after the
other.

It is started by a command and not by `multiprocessing`, which would import a user's script again, and it ends with the
process that started it, however that ends.

It may hang: a `sitecustomize` that waits, a disk that does not answer, a SIGSTOP. So it says that it serves, and says
again and again that it works, as long as it uses the processor. One that is silent for some seconds is ended, and what
it was asked for is read by the caller. On a disk that stalls for so long, the caller reads on alone.

Both talk through a socket of their own: what others write to stdout, or read from stdin, does not get in between.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING, Any, Final

import attrs

from refunc.outlets.opening import above_standard, write_whole
from refunc.processes.own_process import command, environment

if TYPE_CHECKING:
    import socket
    import subprocess

#: The most processes: further ones would wait for this one, or for each other at the index.
_MOST: Final = 8
#: Seconds of silence after which a process is ended. This one has just done itself what that does before it serves.
_PATIENCE: Final = 3.0
#: Seconds between two words of a process that works, and the processor time between them that is more than an error.
_PAUSE: Final = 0.5
_WORK: Final = 1e-4
#: Seconds to wait for the end of a process that was killed: a disk that does not answer may keep it.
_END: Final = 1.0
#: The words: it works, and an answer, whose length follows in so many bytes, and then the answer itself.
_WORKS: Final = b"."
_ANSWER: Final = b"="
_LENGTH: Final = 8


def cores() -> int:
    """Return how many processes may read ahead: one for each core that this process may use, at most eight."""
    return min(_MOST, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


@contextmanager
def started(function: str) -> Iterator[Reader | None]:
    """
    Yield a process that calls *function*, which calls `serve`; None if none can be started. It is killed at the end.

    Args:
        function: As `package.module:name`; it gets the descriptor that `serve` needs.
    """
    try:
        reader = _start(function)
    except OSError:  # no memory, descriptors or processes: then the others read, or the caller
        yield None
        return
    try:
        yield reader
    finally:
        reader.close()


def _start(function: str) -> Reader:
    import subprocess

    if os.name == "nt":
        raise OSError("no descriptor can be passed on here")
    here, there = _connection()
    try:
        process = subprocess.Popen(
            command(function, str(there.fileno())),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(there.fileno(),),
            start_new_session=True,  # Ctrl-C is handled by the command, which ends this process
        )
    except BaseException:
        here.close()
        raise
    finally:
        there.close()
    return Reader(process, here)


def _connection() -> tuple[socket.socket, socket.socket]:
    import socket

    here, there = (socket.socket(fileno=above_standard(end.detach())) for end in socket.socketpair())
    return here, there


@attrs.define
class Reader:
    """A process that reads ahead, and whose answers come in the order of the requests."""

    process: subprocess.Popen[bytes]
    _socket: socket.socket
    #: When it last said something, or was started.
    _heard_at: float = attrs.field(factory=time.monotonic, init=False)

    def ask(self, request: Any) -> None:
        """Send *request*, plain values; a process that has ended, or does not take it in time, has no answer."""
        try:
            self._socket.settimeout(self._patience())
            self._socket.sendall(json.dumps(request).encode("ascii") + b"\n")
            self._heard_at = time.monotonic()  # one that had nothing to do was silent
        except OSError:
            self.end()

    def answer(self) -> bytearray | None:
        """Return the next answer; None if the process has ended, or is silent, and is ended."""
        try:
            while (word := self._receive(1)) == _WORKS:
                pass
            if word == _ANSWER:
                return self._receive(int.from_bytes(self._receive(_LENGTH), "big"))
        except OSError:
            pass
        self.end()
        return None

    def _receive(self, length: int) -> bytearray:
        """Return the next *length* bytes. Raises OSError if they do not come."""
        data = bytearray(length)
        view = memoryview(data)
        while view:
            self._socket.settimeout(self._patience())
            count = self._socket.recv_into(view)
            if not count:
                raise ConnectionError
            self._heard_at = time.monotonic()
            view = view[count:]
        return data

    def _patience(self) -> float:
        """Return the seconds to wait for the next word, which may have been under way while this process was busy."""
        return max(_PAUSE, self._heard_at + _PATIENCE - time.monotonic())

    def end(self) -> None:
        """Kill the process and its children; a thread that waits for an answer gets none. It may be done again."""
        if self.process.returncode is None:
            with suppress(OSError):  # it has just ended
                os.killpg(self.process.pid, signal.SIGKILL)
        with suppress(OSError):
            self._socket.shutdown(2)  # both directions: a process of its own that left its group may hold the other end

    def close(self) -> None:
        """End it, and let go of it."""
        import subprocess

        self.end()
        self._socket.close()
        try:
            self.process.wait(_END)
        except subprocess.TimeoutExpired:
            self.process.returncode = -signal.SIGKILL  # else Python would warn of a process that is still running


# -- the other process -------------------------------------------------------------------------------------------------


def serve(descriptor: str, answers: Callable[[Any], Iterable[bytes]]) -> None:
    """Send the *answers* to each request that comes through *descriptor*; end when no more can come."""
    fd = int(descriptor)
    os.set_inheritable(fd, False)
    is_free = Lock()
    lines: SimpleQueue[bytes] = SimpleQueue()
    os.write(fd, _WORKS)
    Thread(target=_listen, args=(fd, lines), daemon=True).start()
    Thread(target=_say_that_it_works, args=(fd, is_free), daemon=True).start()
    while True:
        for answer in answers(json.loads(lines.get())):
            with is_free:
                write_whole(fd, _ANSWER + len(answer).to_bytes(_LENGTH, "big"))
                write_whole(fd, answer)


def _listen(fd: int, lines: SimpleQueue[bytes]) -> None:
    with suppress(OSError), open(fd, "rb") as requests:
        for line in requests:
            lines.put(line)
    os._exit(0)  # even in the middle of a run: no reader waits for it any longer


def _say_that_it_works(fd: int, is_free: Lock) -> None:
    """Say a word from time to time while other threads use the processor; not within an answer."""
    known = 0.0
    while True:
        time.sleep(_PAUSE)
        used = time.process_time() - time.thread_time()
        if used > known + _WORK and is_free.acquire(blocking=False):
            known = used
            try:
                os.write(fd, _WORKS)
            finally:
                is_free.release()
