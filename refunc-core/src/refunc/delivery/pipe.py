"""The training's ends of the pipes to a delivery process: starting it, its messages, and its answer."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

import attrs

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import load_cursor
from refunc.journal.opening import NoDescriptorError
from refunc.journal.provenance import key
from refunc.outlets.opening import above_standard
from refunc.plugins.integration import Passport
from refunc.processes.own_process import command, environment


@attrs.frozen
class Attachment:
    """An integration of a run of this process."""

    folder: Path
    passport: Passport

    def cursor(self) -> Cursor:
        """The cursor of its delivery, as it was last saved; unknown if no file can be opened."""
        try:
            return load_cursor(self.folder, self.passport.key, self.passport.name)
        except NoDescriptorError:
            return Cursor(self.folder, self.passport.key, self.passport.name)

    def message(self) -> bytes:
        """The line that hands it to a delivery process, with the key by which this process signs records."""
        fields = {"folder": str(self.folder), "passport": attrs.asdict(self.passport), "key": key().hex()}
        return json.dumps(fields).encode("ascii") + b"\n"


class Process:
    """A delivery process and its attachments."""

    def __init__(self, attachments: Iterable[Attachment] = ()) -> None:
        """Raises OSError if the process cannot be started, and NoPythonError if none ever can be."""
        self.attachments: list[Attachment] = []
        self.started_at = time.monotonic()
        self._has_begun = False
        self._pipe = self._answer = -1
        reading = answering = -1
        try:
            reading, self._pipe = map(above_standard, os.pipe())
            self._answer, answering = map(above_standard, os.pipe())
            os.set_blocking(self._answer, False)
            self._popen = subprocess.Popen(
                command("refunc.delivery.process:main", str(reading), str(os.getpid())),
                env=environment(answering),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(reading, answering),
                start_new_session=True,  # Ctrl-C at the terminal is for the training
            )
        except BaseException:
            self._close_pipes()
            raise
        finally:
            _close(reading)
            _close(answering)
        for attachment in attachments:
            self.give(attachment)

    def give(self, attachment: Attachment) -> None:
        """Make it deliver to *attachment* as well."""
        self.attachments.append(attachment)
        with contextlib.suppress(BrokenPipeError):  # it died: `is_alive` will tell
            rest = memoryview(attachment.message())
            while rest:
                rest = rest[os.write(self._pipe, rest) :]

    def is_alive(self) -> bool:
        """Whether it is running."""
        return self._popen.poll() is None

    @property
    def has_begun(self) -> bool:
        """Whether Python has started in it, with refunc's program."""
        if not self._has_begun:
            with contextlib.suppress(OSError):  # no answer yet
                self._has_begun = bool(os.read(self._answer, 1))
        return self._has_begun

    def manner(self) -> str:
        """How it ended, as text."""
        code = self._popen.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def ended_itself(self) -> bool:
        """Whether it exited by itself, and not by a signal."""
        return self._popen.returncode >= 0

    def kill(self) -> None:
        """Kill it and its children."""
        with contextlib.suppress(OSError):  # it has just ended
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def let_go(self) -> None:
        """Close the pipe, which means that no more attachments come, and let the process continue alone."""
        self._close_pipes()
        # It continues alone. Without this, Python would warn of a process that is still running.
        self._popen.returncode = self._popen.returncode if self._popen.returncode is not None else 0

    def _close_pipes(self) -> None:
        pipe, answer, self._pipe, self._answer = self._pipe, self._answer, -1, -1
        _close(pipe)
        _close(answer)


def _close(fd: int) -> None:
    if fd >= 0:
        with contextlib.suppress(OSError):
            os.close(fd)
