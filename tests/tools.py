"""Deadlines, ports, terminals and delivery processes, for tests of several processes: the fixture `tools`."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar


class Tools:
    """Helpers that tests of several processes share."""

    #: Below the ports that the system gives to connections, and without those that are used by default somewhere here.
    _PORTS: ClassVar[range] = range(20_000, 29_000)

    @staticmethod
    def until(condition: Callable[[], Any], deadline: float = 60.0) -> Any:
        """Return the value of *condition* as soon as it is true; fail after *deadline* seconds."""
        end = time.monotonic() + deadline
        while not (value := condition()):
            assert time.monotonic() < end, "the condition did not come true in time"
            time.sleep(0.01)
        return value

    @classmethod
    def free_port(cls) -> int:
        """
        Return a port without a listener, which no connection is given, and no other test while this process lives.

        A UDP socket of the same number says to the processes of other tests that it is taken: a server may listen
        long after this, and be started again at the same port.
        """
        while True:
            port = cls._PORTS[secrets.randbelow(len(cls._PORTS))]
            claim = socket.socket(type=socket.SOCK_DGRAM)
            try:
                claim.bind(("127.0.0.1", port))
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", port))
            except OSError:  # taken
                claim.close()
                continue
            claim.detach()  # open until this process ends
            return port

    @staticmethod
    def shown_on(terminal: int) -> bytes:
        """Return all that is sent to our side of a *terminal* until the other side is closed; then close it."""
        sent = b""
        try:
            while data := os.read(terminal, 65_536):
                sent += data
        except OSError:  # Linux: the other side is closed
            pass
        os.close(terminal)
        return sent

    @staticmethod
    def delivery_pids(folder: Path) -> list[int]:
        """Return the delivery processes that work for *folder*, by their working folder and their program."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                # One that has just begun has no command line yet; of one that is gone the folder cannot be told either.
                command = (entry / "cmdline").read_bytes()
                is_delivery = not command or b"refunc.delivery.process" in command
                if is_delivery and os.readlink(entry / "cwd") == str(folder.resolve()):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    @classmethod
    def kill_delivery(cls, folder: Path) -> int:
        """Kill the delivery processes that work for *folder*; return how many there were."""
        pids = cls.delivery_pids(folder)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):  # it has just ended
                os.kill(pid, signal.SIGKILL)
        return len(pids)

    @classmethod
    def left_in(cls, folder: Path) -> dict[Path, bytes]:
        """
        Kill the delivery processes that work for *folder*; return every file that is left there, with its content.

        While one works, a file that it writes aside is listed and gone before it is opened.
        """
        cls.kill_delivery(folder)
        cls.until(lambda: not cls.delivery_pids(folder))
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
