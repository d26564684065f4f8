"""The training's end of the pipe to a delivery process: what is started at the other end, and what goes through."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterable
from pathlib import Path

import attrs

from refunc.delivery.cursor import Cursor
from refunc.journal.child import command
from refunc.plugins.integration import Passport


@attrs.frozen
class Attachment:
    """An integration of a run of this process."""

    folder: Path
    passport: Passport

    def cursor(self) -> Cursor:
        """How far its delivery is, as the one who delivers last saved it."""
        return Cursor.load(self.folder, self.passport.key, self.passport.name)

    def message(self) -> bytes:
        """The line that tells a delivery process of it."""
        fields = {"folder": str(self.folder), "passport": attrs.asdict(self.passport)}
        return json.dumps(fields).encode("ascii") + b"\n"


class Process:
    """A delivery process and what it was given."""

    def __init__(self, attachments: Iterable[Attachment] = ()) -> None:
        """Raises OSError where the process cannot be started."""
        self.attachments: list[Attachment] = []
        reading, self._pipe = os.pipe()
        try:
            self._popen = subprocess.Popen(
                command("refunc.delivery.process:main", str(reading), str(os.getpid())),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(reading,),
                start_new_session=True,  # Ctrl-C at the terminal is for the training
            )
        except BaseException:
            os.close(self._pipe)
            raise
        finally:
            os.close(reading)
        for attachment in attachments:
            self.give(attachment)

    def give(self, attachment: Attachment) -> None:
        """Have it deliver to *attachment* as well."""
        self.attachments.append(attachment)
        with contextlib.suppress(BrokenPipeError):  # it died: `is_alive` will tell
            rest = memoryview(attachment.message())
            while rest:
                rest = rest[os.write(self._pipe, rest) :]

    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._popen.poll() is None

    def manner(self) -> str:
        """How it died."""
        code = self._popen.returncode
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def let_go(self) -> None:
        """Close the pipe, which says that this process has nothing more to give, and leave the other one to itself."""
        with contextlib.suppress(OSError):
            os.close(self._pipe)
        # It goes on alone. Without this, Python would warn that it was forgotten.
        self._popen.returncode = self._popen.returncode if self._popen.returncode is not None else 0
