"""An outlet that writes numbers into small files, on a disk that refuses calls."""

from __future__ import annotations

import contextlib
import errno
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.outlets.appender import FileOutlet
from refunc.outlets.file import AppendFile

#: Calls that the disk may refuse.
SYNC, WRITE = "refunc.outlets.file._datasync", "refunc.outlets.file.AppendFile.append_from"


@contextlib.contextmanager
def refusing(call: str, refusal: BaseException | None = None) -> Iterator[None]:
    """Have *call* raise *refusal*, or else an EIO, in the block."""

    def refuse(*args: Any, **options: Any) -> Any:
        raise refusal or OSError(errno.EIO, "EIO")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(call, refuse)
        yield


def left_in(folder: Path) -> list[list[str]]:
    """Return the lines of each file, without its header."""
    return [path.read_text().splitlines()[1:] for path in sorted(folder.glob("*.txt"))]


class Lines(FileOutlet):
    """Writes numbers as lines of text into files of fifty bytes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = itertools.count()
        super().__init__()

    def __str__(self) -> str:
        return "The test"

    def _open_next(self) -> AppendFile:
        return AppendFile(self.folder / f"{next(self.files):04d}.txt", new=True)

    def _header(self) -> bytes:
        return b"header\n"

    def _is_full(self, size: int) -> bool:
        return size >= 50

    def _encode(self, batch: list[Any], seq: int, drops: int) -> bytes:
        gap = f"{seq + len(batch)}:gap {drops}\n" if drops else ""
        return ("".join(f"{number}:{item}\n" for number, item in enumerate(batch, seq)) + gap).encode()

    def read(self) -> list[str]:
        """Return the lines of all files, a number that was written twice once."""
        lines: dict[int, str] = {}
        for path in sorted(self.folder.glob("*.txt")):
            header, *found = path.read_text().splitlines() or ["header"]
            assert header == "header"
            for line in found:
                number, _, item = line.partition(":")
                assert lines.setdefault(int(number), item) == item
        assert sorted(lines) == list(range(len(lines)))
        return [lines[number] for number in sorted(lines)]
