"""The console handler: where its lines go, in colour or not, and that no stream troubles the caller."""

from __future__ import annotations

import io
import logging
import os
import select
import sys
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from refunc.logging import MLLogger
from refunc.logging.console.handler import ConsoleHandler
from refunc.logging.formatters import ColoredFormatter
from refunc.outlets.durability import Durability


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def loggers() -> Iterator[logging.Logger]:
    """A logger of the test's own; it, its children and root are left as they were found."""
    root_handlers = logging.root.handlers[:]
    yield logging.getLogger("console-test")
    for name in [name for name in logging.root.manager.loggerDict if name.startswith("console-test")]:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.root.handlers[:] = root_handlers


class Terminal:
    """A pseudo-terminal: a program writes to `stream`; `output()` returns all that its user's terminal receives."""

    def __init__(self) -> None:
        pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
        self._master, slave = pty.openpty()
        self.stream = open(slave, "w", encoding="utf-8")  # noqa: SIM115  # closed by the fixture

    def output(self) -> str:
        self.stream.flush()
        os.write(self.stream.fileno(), b"\0")  # an end: a pseudo-terminal hands over its bytes in pieces
        received = b""
        while not received.endswith(b"\0"):
            assert select.select([self._master], [], [], 30)[0], received
            received += os.read(self._master, 65536)
        return received[:-1].decode()

    def close(self) -> None:
        self.stream.close()
        os.close(self._master)


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def log(logger: logging.Logger, handler: logging.Handler, message: str = "hello") -> None:
    if handler not in logger.handlers:
        logger.addHandler(handler)
    logger.warning(message)


def test_secrets_of_ours_and_of_other_libraries_are_masked(capsys: pytest.CaptureFixture[str]) -> None:
    handler = ConsoleHandler()
    for record in (
        logging.LogRecord("lib", 30, __file__, 1, "login with %s", ("password=hunter2",), None),
        logging.LogRecord("lib", 30, __file__, 1, {"no": "text"}, None, None),
        logging.LogRecord("lib", 30, __file__, 1, "too %s %s", ("few",), None),
    ):
        handler.emit(record)

    shown = capsys.readouterr().err
    assert "login with password=***" in shown
    assert "{'no': 'text'}" in shown
    assert "too %s %s" in shown


def test_lines_go_to_stderr_as_it_is_at_the_time(
    loggers: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    handler = ConsoleHandler()
    log(loggers, handler, "first")
    elsewhere = io.StringIO()
    monkeypatch.setattr(sys, "stderr", elsewhere)
    log(loggers, handler, "second")

    assert "first" in capsys.readouterr().err
    assert "first" not in elsewhere.getvalue()
    assert "second" in elsewhere.getvalue()


def test_lines_go_to_stdout_in_a_notebook(
    loggers: logging.Logger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shell = types.SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]

    log(loggers, ConsoleHandler())

    captured = capsys.readouterr()
    assert "hello" in captured.out
    assert captured.err == ""


def test_a_terminal_gets_colors(loggers: logging.Logger, terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal.stream)

    log(loggers, ConsoleHandler())

    assert "\x1b[33mWARNING\x1b[0m" in terminal.output()


def test_off_a_terminal_there_is_no_escape_and_no_carriage_return(loggers: logging.Logger) -> None:
    stream = io.StringIO()

    log(loggers, ConsoleHandler(stream=stream), "a\x1b[31m\rb")

    assert "a\\x1b[31m\\rb\n" in stream.getvalue()
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_color_is_decided_for_each_stream(
    loggers: logging.Logger, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler, file = ConsoleHandler(), io.StringIO()
    monkeypatch.setattr(sys, "stderr", terminal.stream)
    log(loggers, handler)
    monkeypatch.setattr(sys, "stderr", file)
    log(loggers, handler)

    assert "\x1b[" in terminal.output()
    assert "\x1b[" not in file.getvalue()


@pytest.mark.parametrize("way", ["handler", "formatter"])
def test_color_can_be_switched_off(loggers: logging.Logger, terminal: Terminal, way: str) -> None:
    handler = ConsoleHandler(stream=terminal.stream, colored=False if way == "handler" else None)
    if way == "formatter":
        handler.setFormatter(ColoredFormatter(colored=False))

    log(loggers, handler)

    assert "\x1b" not in terminal.output()


def test_any_formatter_will_do(loggers: logging.Logger) -> None:
    stream = io.StringIO()
    handler = ConsoleHandler(stream=stream)
    handler.setFormatter(logging.Formatter("%(levelname)s!"))

    log(loggers, handler)

    assert stream.getvalue() == "WARNING!\n"


def test_a_record_is_written_with_one_call_and_flushed(loggers: logging.Logger) -> None:
    """So that lines of several processes on one terminal do not mix."""
    calls: list[str] = []

    class Stream(io.StringIO):
        def write(self, text: str) -> int:
            calls.append(text)
            return len(text)

        def flush(self) -> None:
            calls.append("flush")

    log(loggers, ConsoleHandler(stream=Stream()), "one\ntwo")

    assert len(calls) == 2
    assert calls[0].endswith("one\n    two\n")
    assert calls[1] == "flush"


def _closed() -> TextIO:
    stream = io.StringIO()
    stream.close()
    return stream


class _Failing(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    def write(self, text: str) -> int:
        raise self._error


@pytest.mark.parametrize(
    "stream",
    [None, _closed(), _Failing(BrokenPipeError()), _Failing(OSError("no space")), object()],
    ids=["none", "closed", "broken pipe", "full disk", "no stream"],
)
def test_no_stream_troubles_the_caller(
    loggers: logging.Logger, monkeypatch: pytest.MonkeyPatch, stream: TextIO | None
) -> None:
    monkeypatch.setattr(sys, "stderr", stream)

    log(loggers, ConsoleHandler())


def test_a_formatter_that_raises_costs_neither_the_line_nor_the_training(loggers: logging.Logger) -> None:
    stream = io.StringIO()
    handler = ConsoleHandler(stream=stream)
    handler.setFormatter(logging.Formatter("%(no_such_field)s"))

    log(loggers, handler)

    assert stream.getvalue() == "WARNING console-test  hello  (not formatted: ValueError)\n"


def test_a_reader_that_is_gone_does_not_trouble_the_caller(loggers: logging.Logger) -> None:
    read, write = os.pipe()
    os.close(read)
    stream = open(write, "w")  # noqa: SIM115  # its close fails as well: the pipe is broken
    log(loggers, ConsoleHandler(stream=stream))

    with pytest.raises(BrokenPipeError):
        stream.close()


def test_text_that_the_stream_cannot_encode_is_escaped(loggers: logging.Logger) -> None:
    raw = io.BytesIO()

    log(loggers, ConsoleHandler(stream=io.TextIOWrapper(raw, encoding="ascii", write_through=True)), "loss → 0 😀")

    assert raw.getvalue().decode().endswith("loss \\u2192 0 \\U0001f600\n")


# -- one record, one line: lines that the loggers above show are left to them


def lines_with(loggers: logging.Logger, other: logging.Handler, stream: io.StringIO, **attributes: Any) -> int:
    """How often one record appears on *stream*, with our handler on the logger and *other* on root."""
    logging.root.addHandler(other)
    for name, value in attributes.items():
        setattr(loggers, name, value)
    log(loggers, ConsoleHandler(stream=stream))
    return stream.getvalue().count("hello")


def test_silent_where_root_shows_the_record_on_the_same_stream(loggers: logging.Logger) -> None:
    stream = io.StringIO()

    assert lines_with(loggers, logging.StreamHandler(stream), stream) == 1


def test_not_silent_where_root_writes_elsewhere(loggers: logging.Logger) -> None:
    stream = io.StringIO()

    assert lines_with(loggers, logging.StreamHandler(io.StringIO()), stream) == 1


def test_not_silent_where_roots_handler_takes_higher_levels_only(loggers: logging.Logger) -> None:
    stream, other = io.StringIO(), logging.StreamHandler(io.StringIO())
    other.setStream(stream)
    other.setLevel(logging.ERROR)

    assert lines_with(loggers, other, stream) == 1


def test_not_silent_where_the_record_does_not_reach_root(loggers: logging.Logger) -> None:
    stream = io.StringIO()

    assert lines_with(loggers, logging.StreamHandler(stream), stream, propagate=False) == 1


def test_not_silent_where_a_filter_of_roots_handler_might_refuse(loggers: logging.Logger) -> None:
    """A line shown twice is better than a line lost."""
    stream = io.StringIO()
    other = logging.StreamHandler(stream)
    other.addFilter(lambda record: False)

    assert lines_with(loggers, other, stream) == 1


def test_two_stream_objects_of_one_file_are_the_same_stream(loggers: logging.Logger, terminal: Terminal) -> None:
    with open(terminal.stream.fileno(), "w", closefd=False) as twin:
        logging.root.addHandler(logging.StreamHandler(twin))

        log(loggers, ConsoleHandler(stream=terminal.stream))

        assert terminal.output().count("hello") == 1


def test_a_child_loggers_console_leaves_the_line_to_its_parents(loggers: logging.Logger) -> None:
    stream = io.StringIO()
    child = loggers.getChild("child")
    loggers.addHandler(ConsoleHandler(stream=stream))

    log(child, ConsoleHandler(stream=stream))

    assert stream.getvalue().count("hello") == 1


def test_a_record_of_no_known_logger_is_shown() -> None:
    stream = io.StringIO()

    ConsoleHandler(stream=stream).handle(logging.makeLogRecord({"name": "console-test.nobody", "msg": "hello"}))

    assert "hello" in stream.getvalue()


def test_on_root_itself_it_shows_every_loggers_records(loggers: logging.Logger) -> None:
    stream = io.StringIO()
    logging.root.addHandler(ConsoleHandler(stream=stream))

    loggers.warning("hello")
    logging.root.warning("hello")

    assert stream.getvalue().count("hello") == 2


# -- progress bars


@pytest.mark.extras
def test_lines_and_tracebacks_land_above_an_open_bar(loggers: logging.Logger, terminal: Terminal) -> None:
    pyte, tqdm = pytest.importorskip("pyte"), pytest.importorskip("tqdm")
    handler = ConsoleHandler(stream=terminal.stream)
    with tqdm.tqdm(total=10, file=terminal.stream, ncols=60, ascii=True, desc="training", mininterval=0) as bar:
        for i in range(3):
            bar.update()
            log(loggers, handler, f"line {i}\nand more")
        screen = pyte.Screen(80, 24)
        pyte.Stream(screen).feed(terminal.output())

    shown = [line.rstrip() for line in screen.display if line.strip()]
    assert [line.split()[-2:] for line in shown[:6:2]] == [["line", "0"], ["line", "1"], ["line", "2"]]
    assert shown[1:6:2] == ["    and more"] * 3
    assert shown[6].startswith("training:  30%|")
    assert len(shown) == 7


@pytest.mark.parametrize("durability", ["async", "process"])
@pytest.mark.parametrize("has_run", [True, False])
def test_whether_secrets_are_masked_is_asked_when_a_record_is_written_or_shown(
    durability: Durability, has_run: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    logger = MLLogger("masked", durability=durability)
    if has_run:
        logger.start_experiment("masked")
    for value, secret in (("0", "hunter2hunter"), ("", "rabbit4rabbit"), ("off", "badger6badger")):
        monkeypatch.setenv("REFUNC_REDACT", value)
        logger.info("password=%s", secret)
        if has_run:
            logger.log_metrics({"note": f"password={secret}"})
        assert logger.flush()

        texts = [capsys.readouterr().err, Path("logs/masked.log").read_text()]
        texts += [path.read_text() for path in Path().glob("experiments/*/journal/*.jsonl")]
        assert len(texts) == 2 + has_run
        assert [secret in text for text in texts] == [bool(value)] * len(texts)
