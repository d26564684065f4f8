"""Lines without an end, of each thread that writes to a terminal with bars: they are held back until they end."""

from __future__ import annotations

#: Characters of a line without an end that are kept for a thread; other code may draw bars of its own with `\r`.
_LONGEST = 64 * 1024


class HeldLines:
    """
    The text of each thread that is not shown yet.

    A thread may have all its lines held back, so that they are shown as a whole.
    """

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._whole: set[int] = set()

    def __contains__(self, thread: int) -> bool:
        return thread in self._texts

    def add(self, thread: int, text: str) -> str:
        """Return the lines of *thread* that *text* completes, and keep the rest."""
        held = self._texts.pop(thread, "")
        lines, newline, rest = (held + text).rpartition("\n")
        # Several lines whose last has no end are the beginning of a `print`, which writes the end separately: no other
        # thread's line may come in between.
        is_begun = bool(newline and rest) and "\n" not in held and len(held + text) <= _LONGEST
        if thread in self._whole or is_begun:
            self._texts[thread] = lines + newline + rest
            return ""
        if rest:
            self._texts[thread] = rest[rest.rfind("\r", 0, -1) + 1 :][-_LONGEST:]
        return lines + newline

    def take_lines(self, thread: int) -> str:
        """Return the lines of *thread* that have an end, unless they are shown as a whole later."""
        if self.is_whole(thread) or "\n" not in self._texts.get(thread, ""):
            return ""
        lines, newline, rest = self._texts.pop(thread).rpartition("\n")
        if rest:
            self._texts[thread] = rest
        return lines + newline

    def take(self, thread: int) -> str:
        """Return all text of *thread*."""
        return self._texts.pop(thread, "")

    def take_all(self) -> list[str]:
        """Return the text of each thread."""
        texts, self._texts = self._texts, {}
        return list(texts.values())

    def is_whole(self, thread: int) -> bool:
        """Whether the lines of *thread* are held back, to be shown as a whole."""
        return thread in self._whole

    def begin_whole(self, thread: int) -> None:
        """Hold back all lines of *thread* until `end_whole`."""
        self._whole.add(thread)

    def end_whole(self, thread: int) -> str:
        """Return all lines that *thread* has written since `begin_whole`."""
        self._whole.discard(thread)
        return self.take(thread)
