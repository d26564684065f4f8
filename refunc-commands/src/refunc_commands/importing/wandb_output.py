"""The output of a program in W&B's files, as lines."""

from __future__ import annotations

from collections.abc import Iterator

from refunc.journal import record as records
from refunc.values.texts import MAX_TEXT
from refunc_commands.importing.wandb_values import moment_of, seconds
from refunc_commands.importing.wire import Message

#: The most pieces of a line, before they are joined.
_MOST_PIECES = 1_000


class Output:
    """Joins pieces of a program's output into lines."""

    def __init__(self) -> None:
        self._begun: dict[str, list[str]] = {}
        self._times: dict[str, float] = {}

    def lines(self, output: Message, last: float) -> Iterator[records.LogLine]:
        """Yield the lines that *output* completes."""
        stream = "stdout" if output.integer(1) else "stderr"
        moment = seconds(moment_of(output.message(2))) or last
        begun = self._begun.setdefault(stream, [])
        *whole, rest = output.text(3).split("\n")
        for text in whole:
            yield self._line(stream, "".join([*begun, text]), moment)
            begun.clear()
        begun.append(rest)
        self._times[stream] = moment
        # A bar redraws its line for hours without ending it: only its last state is kept, as in the final line.
        if "\r" in rest or len(begun) > _MOST_PIECES:
            text = "".join(begun)
            begun[:] = [f"{_last_state(text)[: MAX_TEXT + 1]}{chr(13) * text.endswith(chr(13))}"]

    def rest(self) -> Iterator[records.LogLine]:
        """Yield the lines that were not completed."""
        for stream, begun in self._begun.items():
            if text := "".join(begun):
                yield self._line(stream, text, self._times[stream])

    def _line(self, stream: str, text: str, moment: float) -> records.LogLine:
        return records.LogLine(level="INFO", message=_last_state(text), logger=stream, time=moment)


def _last_state(text: str) -> str:
    """Return the last state of a progress bar that redraws its line."""
    return text.rstrip("\r").rpartition("\r")[2]
