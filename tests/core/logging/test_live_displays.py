"""Bars where others have replaced stdout or stderr: live displays, wrappers, streams of their own."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from typing import Any

import pytest

PROXIES = r"""
import contextlib, io, os, time
from refunc.logging import MLLogger
log = MLLogger("train", colored_output=False)

class Proxy:
    def __init__(self, stream): self.stream, self.buffer = stream, ""
    def flush(self): self.stream.flush()
    def __getattr__(self, name): return getattr(self.stream, name)

class Live(Proxy):
    "As alive_progress's: what is no whole line waits, and each line is written with something before it."
    def write(self, text):
        *lines, self.buffer = (self.buffer + text).split("\n")
        for line in lines: self.stream.write("on 7: " + line + "\n")
        return len(text)

class Tee(Proxy):
    def write(self, text): return self.stream.write(text)

@contextlib.contextmanager
def replaced(make):
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = map(make, before)
    try: yield
    finally: sys.stdout, sys.stderr = before

def drawn():
    time.sleep(0.25)  # for the drawing thread

def work(total, *lines):
    with progress_context("Inner", total=total) as work:
        for step in range(total): work.update(loss=step); time.sleep(0.01)
        for line in lines: log.info(line); print("printed", line)
"""


def shape(lines: list[str]) -> list[str]:
    return [re.sub(r"^(on 7: )?\d\d:\d\d:\d\d ", r"\1", line)[:22].strip() for line in lines]


def test_a_bar_inside_a_live_display_is_lines_and_writes_no_escape_codes(session: Callable[..., Any]) -> None:
    with session(PROXIES + "with replaced(Live): work(20, 'x')\nprint('end')\n") as terminal:
        lines = terminal.end()

    assert shape(lines) == [
        *("on 7: INFO       train", "on 7: printed x", "on 7: PROGRESS   refun", "end"),
    ]
    assert not any(code in terminal.sent for code in (b"\x1b[?7", b"\x1b[J", b"\x1b[A"))


def test_the_same_inside_richs(session: Callable[..., Any], require: Callable[[bool, str], None]) -> None:
    require(importlib.util.find_spec("rich") is not None, "pip install rich")
    script = """
from rich.progress import track
for i in track(range(2), "theirs"):
    if i: work(20, "x")
print("end")
"""
    with session(PROXIES + script) as terminal:
        lines = terminal.end()

    assert shape(lines)[:3] == ["INFO       train  x", "printed x", "PROGRESS   refunc  Inn"]
    assert [line.split()[0] for line in lines[3:]] == ["theirs", "end"]
    assert "[?7l" not in "".join(terminal.all_lines)


def test_a_bar_makes_way_for_a_live_display_that_comes_later_and_is_back_behind_it(
    session: Callable[..., Any], tools: Any
) -> None:
    script = """
with progress_context("Outer", total=9) as outer:
    outer.update(1)
    drawn()
    with replaced(Live):
        terminal = sys.stdout.stream
        log.info("x")
        for i in range(30):
            terminal.write(f"\\rtheirs {i}"); terminal.flush(); time.sleep(0.01)
        terminal.write("\\rtheirs done\\n")
    outer.update(1)
    drawn()
    pause()
print("end")
"""
    with session(PROXIES + script) as terminal:
        tools.until(lambda: terminal.last_has("2/9"))
        assert shape(terminal.lines[:-1]) == ["on 7: INFO       train", "theirs done"]
        terminal.go()
        assert terminal.end()[-1] == "end"


def test_lines_by_a_wrapper_that_passes_on_stand_above_the_bar_whole(session: Callable[..., Any]) -> None:
    for script in ("with replaced(Tee): work(20, 'x', 'y')", "sys.stderr = Tee(sys.stderr)\nwork(20, 'x', 'y')"):
        with session(PROXIES + script + "\nprint('end')\n") as terminal:
            lines = terminal.end()

        assert [line for line in lines if line.endswith((" x", " y"))] == lines[:4]
        assert lines[4].startswith("Inner: 100%|")
        assert lines[5:] == ["end"]


@pytest.mark.parametrize("other", ["Tee", "lambda stream: io.StringIO()", "lambda stream: os.fdopen(os.dup(2), 'w')"])
def test_a_stream_that_is_replaced_inside_a_bar_has_nothing_of_it_and_the_bar_ends_cleanly(
    session: Callable[..., Any], tools: Any, other: str
) -> None:
    script = f"""
def shadows(*streams): return sum(name in vars(one) for one in streams for name in ("write", "flush"))
real = sys.stdout, sys.stderr
with progress_context("Outer", total=9) as outer:
    outer.update(1, loss=0.123456)
    drawn()
    with replaced({other}):
        news = sys.stdout, sys.stderr
        log.info("logged"); print("printed")
        outer.update(1); drawn()
        log.info("logged again"); print("printed again")
    drawn()
    print("behind")
print(shadows(*real, *news), [text for new in news if hasattr(new, "getvalue") for text in new.getvalue().splitlines()])
"""
    with session(PROXIES + script, 120) as terminal:
        lines = terminal.end()

    end = lines.index("behind")
    assert re.fullmatch(r"Outer:  22%\|.* 2/9 \[.*loss=0.1235\]", lines[end + 1])
    assert lines[end + 2].startswith("0 [")
    assert "Outer" not in "".join([*lines[: end + 1], lines[end + 2]])
    if "StringIO" in other:
        assert len(lines) == 3
        assert "'printed', 'printed again'" in lines[-1]
        assert lines[-1].count("logged") == 2
    else:
        assert [line.split("  ")[-1] for line in lines[:end]] == ["logged", "printed", "logged again", "printed again"]


def test_a_line_in_a_callback_of_keras_is_not_glued_behind_its_bar(session: Callable[..., Any]) -> None:
    script = r"""
import types
keras = sys.modules["keras"] = types.ModuleType("keras")
code = '''
def fit(stream, callback):
    for step in (1, 2):
        stream.write("\\b" * 30 + "\\r" + f"{step}/2 ==== mae: 1.21")
        stream.flush()
    callback()
    stream.write("\\b" * 30 + "\\r" + "2/2 ==== mae: 1.20\\n")
'''
exec(code, vars(keras))
keras.fit(sys.stdout, lambda: log.info("in it"))
print("no end of a line", end="", flush=True)
log.info("outside")
"""
    with session(PROXIES + script) as terminal:
        lines = terminal.end()

    assert lines[0].endswith("train  in it")
    assert lines[1] == "2/2 ==== mae: 1.20"
    assert lines[2].startswith("no end of a line")
