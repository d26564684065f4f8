"""A line stands once on a terminal, with its values, from any handler."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HANDLERS = r"""
import io, logging, logging.handlers, os
from refunc.logging import AsyncHandler, BufferedHandler, ConsoleHandler, MLLogger

class Duck(logging.Handler):
    def __init__(self, stream):
        super().__init__()
        self.stream = stream
    def emit(self, record):
        self.stream.write(self.format(record) + "\n")
        self.stream.flush()

class Rich(Duck):
    def __init__(self, stream):
        super().__init__(stream)
        self.console = type("Console", (), {"file": stream})
        del self.stream
    def emit(self, record):
        self.console.file.write(self.format(record) + "\n")
        self.console.file.flush()

class Wrapping(logging.Handler):
    def __init__(self, inner):
        super().__init__()
        self._current_handler = inner
    def emit(self, record):
        if record.levelno >= self._current_handler.level:
            self._current_handler.handle(record)

class Tee:
    def __init__(self, stream):
        self.inner = stream
    def write(self, text):
        return self.inner.write(text)
    def flush(self):
        self.inner.flush()

def of_level(handler, level):
    handler.setLevel(level)
    return handler

def filtered(handler):
    handler.addFilter(lambda record: False)
    return handler

err, out = sys.stderr, sys.stdout
log_file = open(os.devnull, "w")
ONCE = {
    "StreamHandler on stderr": lambda: logging.StreamHandler(err),
    "StreamHandler on stdout": lambda: logging.StreamHandler(out),
    "StreamHandler on a copy": lambda: logging.StreamHandler(os.fdopen(os.dup(1), "w")),
    "a class of its own": lambda: Duck(out),
    "rich's": lambda: Rich(out),
    "absl's": lambda: Wrapping(logging.StreamHandler(out)),
    "AsyncHandler": lambda: AsyncHandler(target=logging.StreamHandler(out)),
    "AsyncHandler of ours": lambda: AsyncHandler(target=ConsoleHandler()),
    "ConsoleHandler on stdout": lambda: ConsoleHandler(stream=out),
    # These show nothing, or not surely, or late: then refunc's console does.
    "of a level above": lambda: of_level(logging.StreamHandler(out), "ERROR"),
    "a wrapped one of a level above": lambda: Wrapping(of_level(logging.StreamHandler(out), "ERROR")),
    "filtered": lambda: filtered(logging.StreamHandler(out)),
    "in memory": lambda: logging.handlers.MemoryHandler(10, target=logging.StreamHandler(out), flushOnClose=False),
    "a buffer that drops": lambda: BufferedHandler(10, False, target=logging.StreamHandler(out)),
    "StringIO": lambda: logging.StreamHandler(io.StringIO()),
    "a file": lambda: logging.StreamHandler(log_file),
    "no stream": lambda: logging.StreamHandler(Tee(io.StringIO())),
    "an unclear attribute": lambda: type("Odd", (logging.NullHandler,), {"stream": "stderr", "console": None})(),
}
"""


def counted(lines: list[str], names: list[str]) -> dict[str, int]:
    return {name: sum(f"line of {name};" in line and "loss=0.5" in line for line in lines) for name in names}


@pytest.mark.parametrize("on", ["root", "the same logger", "a logger between"])
def test_a_line_stands_once_on_the_terminal_with_its_values(session: Callable[..., Any], on: str) -> None:
    loggers = {"root": "", "the same logger": "a.b.train", "a logger between": "a"}
    script = f"""
logger = MLLogger("a.b.train", colored_output=False)
above = logging.getLogger({loggers[on]!r})
for name, make in ONCE.items():
    handler = make()
    above.addHandler(handler)
    logger.info(f"line of {{name}};", metrics={{"loss": 0.5}})
    handler.flush() if name.startswith("Async") else None
    above.removeHandler(handler)
    print(f"name:{{name}}")
"""
    with session(HANDLERS + script, 200, 60) as terminal:
        lines = terminal.end()

    names = [line.removeprefix("name:") for line in lines if line.startswith("name:")]
    assert len(names) > 15
    # On one logger, a user has asked for two of refunc's consoles.
    twice = {"ConsoleHandler on stdout"} if on == "the same logger" else set()
    assert counted(lines, names) == {name: 1 + (name in twice) for name in names}


@pytest.mark.parametrize("one_file", [True, False], ids=["one file", "two files"])
def test_also_where_stdout_and_stderr_are_redirected(tmp_path: Path, one_file: bool) -> None:
    script = """
import logging, sys
logging.basicConfig(level="INFO", stream=sys.stdout)
from refunc.logging import MLLogger
MLLogger("train").info("line", metrics={"loss": 0.5})
"""
    with (tmp_path / "out").open("w") as out, (tmp_path / "err").open("w") as err:
        subprocess.run([sys.executable, "-c", script], stdout=out, stderr=out if one_file else err, check=True)

    assert (tmp_path / "out").read_text() == "INFO:train:line loss=0.5\n"
    assert (tmp_path / "err").read_text().count("line  loss=0.5") == (0 if one_file else 1)


def test_a_line_in_the_live_log_of_pytest_stands_there_once(session: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(
        "from refunc.logging import MLLogger\ndef test_it():\n    MLLogger('train').info('one line')\n"
    )
    script = f"""
import pytest
pytest.main(["-s", "-q", "-p", "no:cacheprovider", "-o", "log_cli=true", "-o", "log_cli_level=INFO", {str(tmp_path)!r}])
"""
    with session(script, 120, 30) as terminal:
        lines = terminal.end()

    assert sum("one line" in line for line in lines) == 1
    assert sum("1 passed" in line for line in lines) == 1
