"""
The process that opened a run, from its `run.json`, and whether that process can be seen from here.

A pid identifies a process only on one machine, in one container, and until the machine restarts or the pid is reused.
So all of these are kept. Linux has them in /proc; elsewhere they are unknown, and nothing is concluded.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import cache
from io import FileIO
from typing import Any, NamedTuple

#: The member of `run.json`.
OPENED_BY = "opened_by"
#: No system has larger process ids, and a larger one would not fit into the system call.
_MOST_PID = (1 << 31) - 1


class Opener(NamedTuple):
    """The process that opened a run. Unknown facts are None."""

    host: str | None
    pid: int | None
    #: A hash of the machine's id, the start of its system, and the namespace that the pid is of.
    machine: str | None
    boot: str | None
    pids: str | None
    #: When the process began, in ticks since the system's start.
    began: int | None
    #: The device of the file system, as the process saw it.
    device: int | None

    @classmethod
    def of(cls, birth: object) -> Opener:
        """Return the opener of the run whose `run.json` contains *birth*, which may be any value."""
        whole: Mapping[str, Any] = birth if isinstance(birth, dict) else {}
        said = whole.get(OPENED_BY)
        facts: Mapping[str, Any] = said if isinstance(said, dict) else {}
        pid = _number(facts.get("pid", whole.get("pid")))
        return cls(
            host=_name(whole.get("host")),
            pid=pid if pid is not None and 0 < pid <= _MOST_PID else None,
            machine=_name(facts.get("machine")),
            boot=_name(facts.get("boot")),
            pids=_name(facts.get("pids")),
            began=_number(facts.get("began")),
            device=_number(facts.get("device")),
        )

    @property
    def is_of_this_system(self) -> bool:
        """Whether it ran, or runs, under the kernel that runs now: then one `flock` is seen by all."""
        return self.boot is not None and self.boot == _boot()

    @property
    def is_of_this_host(self) -> bool:
        """Whether it ran on a machine with the name of this one; used if nothing more is known."""
        return self.host is not None and self.host == platform.node()

    @property
    def is_before_restart(self) -> bool:
        """Whether it ran on this machine before a restart, so that it cannot be running."""
        is_here = self.is_of_this_host and self.machine is not None and self.machine == _machine()
        return is_here and None not in (self.boot, _boot()) and not self.is_of_this_system

    def beside(self, host: object, pid: object) -> Opener:
        """Return another process on the same system, named by the first line of its segment."""
        number = _number(pid)
        if self.host is None or host != self.host or number is None or not 0 < number <= _MOST_PID:
            return Opener.of(None)
        return self._replace(pid=number, began=self.began if number == self.pid else None)

    def lives(self) -> bool | None:
        """Whether the process runs; None if it cannot be seen from here."""
        if not self.is_of_this_system or self.pid is None or self.pids is None or self.pids != _pids():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except OSError:  # another user's
            pass
        began = began_of(self.pid)
        return None if began is None or self.began is None else began == self.began


def facts_of_this_process(device: int) -> dict[str, Any]:
    """Return the facts for `run.json` about this process, which opens a run on *device*."""
    facts = {"machine": _machine(), "boot": _boot(), "pids": _pids(), "began": began_of(os.getpid()), "device": device}
    return {"pid": os.getpid(), **{name: value for name, value in facts.items() if value is not None}}


def began_of(pid: int) -> int | None:
    """Return when the process *pid* began; None if that cannot be read; 0 if it has ended and waits to be reaped."""
    # The program's name is in brackets, and may contain brackets and spaces itself.
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    try:
        return 0 if fields[0] in (b"Z", b"X") else int(fields[19])
    except (IndexError, ValueError):
        return None


def is_gone(pid: int) -> bool:
    """Whether the process *pid*, which could be seen before, has ended; also known if no descriptor is left."""
    return not os.path.exists(f"/proc/{pid}") or began_of(pid) == 0


def parent_of(pid: int) -> int | None:
    """Return the process that started the process *pid*; None if that cannot be read, or there is none."""
    fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 and fields[1] != b"0" else None


def is_above(pid: int) -> bool:
    """Whether the process *pid* has started this one, perhaps through others; False if that cannot be read."""
    with suppress(OSError):
        above: int | None = os.getpid()
        # In a namespace of its own whose /proc is that of another one, the numbers there are others.
        if os.readlink("/proc/self") == str(above):
            while above is not None and above != pid:
                above = parent_of(above)
            return above is not None and pid != os.getpid()
    return False


def environment_of(pid: int | str) -> list[bytes]:
    """Return the variables that the process *pid* was started with, as `NAME=value`; none if they cannot be read."""
    return [pair for pair in _read(f"/proc/{pid}/environ").split(b"\0") if pair]


def files_of(pid: int) -> list[str]:
    """Return the paths of the files that the process *pid* has open; none if they cannot be read."""
    folder, paths = f"/proc/{pid}/fd", []
    with suppress(OSError):
        for number in os.listdir(folder):
            with suppress(OSError):  # closed meanwhile
                paths.append(os.readlink(f"{folder}/{number}"))
    return paths


def holders_of(info: os.stat_result) -> list[int]:
    """Return the processes of this machine that hold a `flock` on the file, as far as they can be seen from here."""
    device = f"{os.major(info.st_dev):02x}:{os.minor(info.st_dev):02x}:{info.st_ino}".encode()
    return [pid for place, pid in _flocks() if place == device and pid > 0]


def _flocks() -> Iterator[tuple[bytes, int]]:
    for line in _read("/proc/locks").splitlines():
        fields = line.split()  # `1: FLOCK ADVISORY WRITE 16588 fe:00:2408756 0 EOF`; one that waits has `->` second
        if len(fields) > 5 and fields[1] == b"FLOCK":
            yield fields[5], int(fields[4])


def user_of(pid: int) -> int | None:
    """Return the id of the user of the process *pid*; None if that cannot be known."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None


@cache
def _boot() -> str | None:
    return _read("/proc/sys/kernel/random/boot_id").decode("ascii", "replace").strip() or None


@cache
def _machine() -> str | None:
    from hashlib import blake2b

    # Not the id itself: it names the machine everywhere, see machine-id(5).
    read = _read("/etc/machine-id").strip()
    return blake2b(read, digest_size=8, person=b"refunc machine").hexdigest() if read else None


def _pids() -> str | None:
    try:
        return os.readlink("/proc/self/ns/pid")
    except (OSError, AttributeError):
        return None


def _read(path: str) -> bytes:
    try:
        with FileIO(path) as file:  # `open` is gone from the builtins at interpreter shutdown
            return file.read() or b""
    except OSError:
        return b""


def _name(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _number(value: object) -> int | None:
    return value if type(value) is int else None
