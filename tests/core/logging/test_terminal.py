"""Colour or not, text that is safe to print, and lines above open progress bars."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import types
from collections.abc import Iterator
from typing import TextIO

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refunc.values import terminal
from refunc.values.printable import printable, printable_line
from refunc.values.terminal import above_bars, in_notebook, is_terminal, wants_color


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "CLICOLOR_FORCE", "NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tty() -> Iterator[TextIO]:
    pty = pytest.importorskip("pty", reason="no pseudo-terminals here")
    master, slave = pty.openpty()
    with open(slave, "w", encoding="utf-8") as stream:
        yield stream
    os.close(master)


def test_a_terminal_is_colored_and_a_file_is_not(tty: TextIO) -> None:
    assert wants_color(tty)
    assert not wants_color(io.StringIO())
    assert not wants_color(None)


# Each variable against everything that has less to say.
@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": "0"}, False),
        ({"NO_COLOR": ""}, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1", "TERM": "dumb"}, True),
        ({"CLICOLOR_FORCE": "1", "NO_COLOR": "1"}, True),
        ({"FORCE_COLOR": "0", "NO_COLOR": "1"}, False),
        ({"FORCE_COLOR": "", "TERM": "dumb"}, False),
    ],
)
def test_environment_decides_in_order(
    tty: TextIO, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: bool
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert wants_color(tty) is expected


def test_an_explicit_answer_comes_before_the_environment(tty: TextIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert wants_color(tty, colored=False) is False

    monkeypatch.delenv("FORCE_COLOR")
    monkeypatch.setenv("NO_COLOR", "1")
    assert wants_color(io.StringIO(), colored=True) is True


def test_force_color_colors_what_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORCE_COLOR", "3")

    assert wants_color(io.StringIO())


def test_a_notebooks_stream_is_colored_though_it_is_no_terminal() -> None:
    stream_class = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})

    assert wants_color(stream_class())


def test_a_closed_stream_is_no_terminal() -> None:
    stream = io.StringIO()
    stream.close()

    assert not is_terminal(stream)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ascii", "plain ascii"),
        ("tab\tstays", "tab\tstays"),
        ("Größe 😀 数据 👩‍💻", "Größe 😀 数据 👩‍💻"),
        ("\x1b[31mred", "\\x1b[31mred"),
        ("a\rb", "a\\rb"),
        ("\x00\x07\x08\x7f", "\\x00\\x07\\x08\\x7f"),
        ("\x9b2J\x85", "\\x9b2J\\x85"),
        ("\u202eevil\u2066\u200f\u061c", "\\u202eevil\\u2066\\u200f\\u061c"),
        ("\ud800", "\\ud800"),
        ("a\u2028b\u2029", "a\\u2028b\\u2029"),
        ("", ""),
    ],
)
def test_control_characters_become_visible(text: str, shown: str) -> None:
    assert printable(text) == shown
    assert printable_line(text) == shown


def test_later_lines_are_indented_so_that_none_can_be_forged() -> None:
    assert printable("one\n10:00:00 INFO two") == "one\n    10:00:00 INFO two"
    assert printable("one\ntwo", indent="") == "one\ntwo"


def test_one_line_text_shows_its_newlines() -> None:
    assert printable_line("one\ntwo") == "one\\ntwo"


@given(st.text(st.characters()))
def test_printable_text_splits_nowhere_but_at_newlines(text: str) -> None:
    assert len(printable(text).splitlines() or [""]) <= text.count("\n") + 1
    assert "\n" not in printable_line(text)
    printable(text).encode()


def test_above_bars_costs_nothing_where_tqdm_is_not_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "tqdm", raising=False)

    assert above_bars(io.StringIO()) is None


def test_above_bars_takes_no_lock_of_tqdms_when_no_bar_is_open(monkeypatch: pytest.MonkeyPatch) -> None:
    tqdm = pytest.importorskip("tqdm")
    monkeypatch.setattr(tqdm.tqdm, "get_lock", lambda: pytest.fail("lock taken"))

    assert above_bars(io.StringIO()) is None


def test_above_bars_works_with_a_tqdm_that_hides_its_bars(monkeypatch: pytest.MonkeyPatch) -> None:
    """`_instances` is tqdm's own business: without it the public way is taken."""
    tqdm = pytest.importorskip("tqdm")
    stream = io.StringIO()
    monkeypatch.delattr(tqdm.tqdm, "_instances")

    bars = above_bars(stream)

    assert bars is not None
    with bars:
        stream.write("line\n")
    assert stream.getvalue() == "line\n"


def test_a_bar_is_cleared_before_a_line_and_drawn_again_after() -> None:
    tqdm = pytest.importorskip("tqdm")
    stream = io.StringIO()

    with tqdm.tqdm(total=10, file=stream, ncols=40, ascii=True):
        stream.truncate(0)
        bars = above_bars(stream)
        assert bars is not None
        with bars:
            stream.write("line\n")

        assert stream.getvalue().lstrip("\x00 \r").startswith("line\n\r  0%|")


def test_no_notebook_where_no_kernel_is_loaded() -> None:
    assert not in_notebook()


def test_a_kernel_is_a_notebook_and_a_loaded_ipykernel_alone_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = types.SimpleNamespace(kernel=None)
    monkeypatch.setitem(sys.modules, "ipykernel", types.ModuleType("ipykernel"))
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not in_notebook()

    monkeypatch.setitem(sys.modules, "IPython", types.SimpleNamespace(get_ipython=lambda: shell))  # type: ignore[arg-type]
    assert not in_notebook()

    shell.kernel = object()
    assert in_notebook()


def test_colorama_is_asked_on_windows_alone_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    fake = types.SimpleNamespace(just_fix_windows_console=lambda: calls.append("fixed"))
    monkeypatch.setitem(sys.modules, "colorama", fake)  # type: ignore[arg-type]
    terminal.fix_windows_console.cache_clear()
    monkeypatch.setattr(terminal.sys, "platform", "linux")
    terminal.fix_windows_console()
    assert calls == []

    terminal.fix_windows_console.cache_clear()
    monkeypatch.setattr(terminal.sys, "platform", "win32")
    terminal.fix_windows_console()
    terminal.fix_windows_console()
    monkeypatch.undo()
    terminal.fix_windows_console.cache_clear()

    assert calls == ["fixed"]


def test_importing_the_console_imports_nothing_heavy() -> None:
    heavy = ("tqdm", "colorama", "IPython", "json", "attrs", "msgspec")
    script = f"import sys, refunc.logging.console.handler; print([m for m in {heavy!r} if m in sys.modules])"

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert (done.stdout, done.stderr) == ("[]\n", "")
