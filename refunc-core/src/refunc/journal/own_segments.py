"""The files that one writer of a run has written: their names, their numbers, and their first lines."""

from __future__ import annotations

import platform
import time

from refunc.journal import kinds
from refunc.journal.codec import encode_line
from refunc.journal.folder import JOURNAL, SEGMENT_SUFFIX, RunFolder, refuse_link
from refunc.outlets.file import AppendFile
from refunc.values.names import writer_id


class OwnSegments:
    """The segments `journal/<name>.<number>.jsonl` of a writer, which gets its name here."""

    def __init__(self, folder: RunFolder, logger: str) -> None:
        """
        Args:
            logger: The logger of lines that do not name one.
        """
        self._folder, self._logger = folder, logger
        self.name = writer_id(platform.node()) + folder.role.suffix()
        self._next = 0

    def open_next(self) -> AppendFile:
        """Make the next file, and the run's folder if it is not there. Raises OSError."""
        self._folder.create()
        refuse_link(self._folder.path / JOURNAL)
        while True:
            self._next += 1
            try:
                return AppendFile(self._folder.path / JOURNAL / self._file_name(self._next - 1), new=True)
            except FileExistsError:  # an attempt that was interrupted right after the open
                continue

    def are_earlier_there(self) -> bool:
        """Whether all files before the last one still exist."""
        return all((self._folder.path / JOURNAL / self._file_name(number)).exists() for number in range(self._next - 1))

    def header(self) -> bytes:
        """Return the first line of the file that was made last."""
        return encode_line(
            {
                "kind": kinds.SEGMENT,
                "format": kinds.FORMAT,
                "run": self._folder.birth["run_id"],
                "writer": self.name,
                "segment": self._next - 1,
                "time": time.time(),
                "monotonic": time.monotonic(),
                "host": platform.node(),
                "pid": int(self.name.split("-")[-3]),
                "logger": self._logger,
                **self._folder.role.members(),
            }
        )

    def _file_name(self, number: int) -> str:
        return f"{self.name}.{number:06d}{SEGMENT_SUFFIX}"
