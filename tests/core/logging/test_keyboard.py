"""A prompt stands while bars are open, from any caller: bars go out of its way, and come back behind the answer."""

from __future__ import annotations

import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ASK = """
import os, threading, time
from refunc.logging import MLLogger
log = MLLogger("train", colored_output=False)
is_over = threading.Event()
bound = input  # as click has it

def go_on(work):
    while not is_over.wait(0.005):
        work.update(1)

def test(ask):
    # The outer one is never drawn but when the bars come back, so that a screen without bars is empty.
    with progress_context("Outer", total=3), progress_context("Inner") as work:
        threading.Thread(target=go_on, args=(work,)).start()
        while work.completed < 30: time.sleep(0.01)
        answer = ask()
        print("answer:", str(answer).strip())
        while not os.path.exists("seen"): time.sleep(0.01)  # until the test has seen the bars
        is_over.set()
    print("end")
"""

#: Ways to ask: the code that is run, the prompt that it shows, the text that is typed, and the value that it gives.
WAYS: dict[str, tuple[str, str, str, str]] = {
    "input": ("test(lambda: input('Go [on]? '))", "Go [on]?", "yes\n", "yes"),
    "input, bound earlier": ("test(lambda: bound('Go [on]? '))", "Go [on]?", "yes\n", "yes"),
    "input behind a print": ("test(lambda: [print('Go', end=' '), input('[on]? ')][1])", "Go [on]?", "yes\n", "yes"),
    "stdin.readline": (
        "test(lambda: [print('Go [on]? ', end='', flush=True), sys.stdin.readline()][1])",
        *("Go [on]?", "yes\n", "yes"),
    ),
    "click.confirm": ("import click; test(lambda: click.confirm('Go [on]?'))", "Go [on]? [y/N]:", "y\n", "True"),
    "click.prompt": ("import click; test(lambda: click.prompt('Go', type=int))", "Go:", "12\n", "12"),
    "click.prompt, hidden": ("import click; test(lambda: click.prompt('Go', hide_input=True))", "Go:", "a b\n", "a b"),
    "getpass": ("import getpass; test(lambda: getpass.getpass('Key: '))", "Key:", "secret\n", "secret"),
    "getpass without /dev/tty": (
        "import getpass, os; real = os.open\n"
        "def refuse(path, *rest):\n"
        "    if path == '/dev/tty': raise OSError\n"
        "    return real(path, *rest)\n"
        "os.open = refuse; test(lambda: getpass.getpass('Key: '))",
        *("Key:", "secret\n", "secret"),
    ),
    "a command": (
        "import subprocess; test(lambda: subprocess.run(['bash', '-c', 'read -s -p \"Key: \" key; echo']).returncode)",
        *("Key:", "secret\n", "0"),
    ),
    "pdb": ("import pdb; test(lambda: pdb.Pdb(nosigint=True).set_trace())", "(Pdb)", "c\n", "None"),
    "rich": ("from rich.prompt import Prompt; test(lambda: Prompt.ask('Go'))", "Go:", "yes\n", "yes"),
    "rich, hidden": (
        "from rich.prompt import Prompt; test(lambda: Prompt.ask('Key', password=True))",
        *("Key:", "secret\n", "secret"),
    ),
    "prompt_toolkit": ("import prompt_toolkit; test(lambda: prompt_toolkit.prompt('Go? '))", "Go?", "yes\r", "yes"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_prompt_stands_alone_until_it_is_answered(
    session: Callable[..., Any], tools: Any, require: Callable[[bool, str], None], way: str
) -> None:
    for package in ("click", "rich", "prompt_toolkit"):
        if package in way:
            require(importlib.util.find_spec(package) is not None, f"pip install {package}")
    script, prompt, keys, answer = WAYS[way]
    with session(ASK + script, keyboard=True) as terminal:
        tools.until(lambda: terminal.last_has(prompt) and not any("ner" in line for line in terminal.lines))
        before = len(terminal.sent)
        time.sleep(0.2)  # time for output that must not come

        assert terminal.last_has(prompt)
        assert b"Outer" not in terminal.sent[before:]
        _, column = terminal.cursor
        assert column - len(terminal.lines[-1]) in (0, 1)  # click 8.1 puts no space behind a hidden prompt
        terminal.type(keys)
        tools.until(lambda: any(f"answer: {answer}" in line for line in terminal.lines))
        # They are drawn again, and not only at their end.
        tools.until(lambda: terminal.last_has("Inner: "))
        assert b"end" not in terminal.sent
        Path("seen").touch()
        lines = terminal.end()
        echoed = "" if "secret" in keys or "hidden" in way else keys.strip()
        begin = next(i for i, line in enumerate(lines) if prompt in line)
        assert lines[begin].endswith(f"{prompt} {echoed}".strip())
        assert [line[: len(line) if "answer" in line else 6] for line in lines[begin + 1 :]] == [
            *(f"answer: {answer}", "Outer:", "end"),
        ]


def test_a_line_that_comes_meanwhile_stands_whole_below_the_prompt(session: Callable[..., Any], tools: Any) -> None:
    script = (
        "def log_meanwhile():\n"
        "    while not os.path.exists('asked'): time.sleep(0.01)  # a line before the prompt would stand above it\n"
        "    log.info('one'); log.info('two')\n"
        "threading.Thread(target=log_meanwhile).start()\n"
        "test(lambda: bound('Go on? '))\n"
    )
    with session(ASK + script, keyboard=True) as terminal:
        tools.until(lambda: terminal.last_has("Go on?"))
        Path("asked").touch()
        tools.until(lambda: terminal.last_has("two"))

        assert [line[-7:] for line in terminal.lines] == ["Go on?", "in  one", "in  two"]
        terminal.type("yes\n")
        Path("seen").touch()
        assert terminal.end()[3:5] == ["yes", "answer: yes"]


@pytest.mark.parametrize("ask", ["input", "bound"])
def test_bars_that_begin_before_the_prompt_is_written_wait_for_it(
    ask: str, session: Callable[..., Any], tools: Any
) -> None:
    """On a busy machine, other threads may run between the call of `input` and its prompt."""
    script = """
import os, sys, threading, time
from refunc.logging import get_logger
log = get_logger("main")
bound, bare = input, sys.stdout.flush
def slowly():
    calls.append(1)
    time.sleep(0.2)
    bare()
calls = []
sys.stdout.flush = slowly
def work():
    while not calls: time.sleep(0.001)
    with progress_context("First", total=2), progress_context("Second", total=2): log.info("one")
    os.write(2, b"\x1b]2;both have ended\x07")
with progress_context("Last", total=2) as last:
    calls.clear()
    thread = threading.Thread(target=work)
    thread.start()
    print("answer:", ASK("Go on? "))
    thread.join()
"""
    with session(script.replace("ASK", ask), keyboard=True) as terminal:
        tools.until(lambda: terminal.title == "both have ended")
        terminal.type("yes\n")
        lines = terminal.end()
        assert [line[-6:] for line in lines[:2]] == ["Go on?", "in  one"[-6:]]
        assert lines[2:4] == ["yes", "answer: yes"]


def test_bars_that_end_meanwhile_leave_the_prompt_alone(session: Callable[..., Any], tools: Any) -> None:
    script = """
import os, threading, time
def work():
    with progress_context("First", total=2) as first, progress_context("Second", total=2):
        while not bars._screen._terminal.is_asking: time.sleep(0.01)
        first.update(1)
    os.write(2, b"\x1b]2;both have ended\x07")  # the title of the window, which moves no cursor
with progress_context("Last", total=2) as last:
    thread = threading.Thread(target=work)
    thread.start()
    print("answer:", input("Go on? "))
    thread.join()
    last.update(1)
"""
    with session(script, keyboard=True) as terminal:
        tools.until(lambda: terminal.title == "both have ended")
        assert terminal.cursor == (1, 0)
        assert terminal.lines == ["Go on?"]  # inner bars leave nothing behind
        terminal.type("yes\n")
        lines = terminal.end()
        assert lines[:3] == ["Go on?", "yes", "answer: yes"]
        assert lines[-1].startswith("Last:  50%")


@pytest.mark.parametrize("waits", ["sum(range(100_000))", "listener.join(0.05)"], ids=["works", "waits for threads"])
def test_who_listens_for_a_key_beside_the_training_stops_no_bar(
    session: Callable[..., Any], tools: Any, waits: str
) -> None:
    script = f"""
import os, threading, time, tty
def listen():
    while os.read(0, 1) != b"q": pass
    stop.set()
stop = threading.Event()
with progress_context("Work") as work:
    tty.setcbreak(0)
    listener = threading.Thread(target=listen)
    listener.start()
    while not stop.is_set():
        {waits}
        work.update(1)
print("stopped")
"""
    with session(script, keyboard=True) as terminal:
        tools.until(lambda: terminal.sent.count(b"Work:") > 5)
        terminal.type("q")
        assert terminal.end()[-1] == "stopped"


def test_stdin_is_given_back(session: Callable[..., Any]) -> None:
    script = """
import builtins
before = builtins.input
with progress_context("Work"):
    during = sorted(vars(sys.stdin).keys() & {"read", "readline", "fileno"}), builtins.input is before
print(during, sorted(vars(sys.stdin).keys() & {"read", "readline", "fileno"}), builtins.input is before)
"""
    with session(script, keyboard=True) as terminal:
        assert terminal.end()[-1] == "(['fileno', 'read', 'readline'], False) [] True"
