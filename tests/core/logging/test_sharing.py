"""The terminal while bars are open: whatever is written there stands above them, whole, and none is doubled."""

from __future__ import annotations

import time
from typing import Any

EVERYTHING = r"""
import logging, threading, warnings
from refunc.logging import MLLogger
loggers = [MLLogger("train"), MLLogger("data"), logging.getLogger("lib"), logging.getLogger("lib.inner")]
handler = logging.StreamHandler(); handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
logging.getLogger("lib").addHandler(handler); logging.getLogger("lib").setLevel("INFO")

def work(number):
    for i in range(60):
        loggers[number].info("thread %d line %02d", number, i)
        if number == 3 and i == 20:
            raise ValueError("thread 3 stumbles")

with progress_context("Outer", total=4) as outer, progress_context("Inner", total=1000) as inner:
    outer.update(1)
    inner.update(500, loss=0.25)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads: thread.start()
    print("printed", "in", "pieces")
    print("line one\nline two\nline three")
    warnings.warn("worn")
    try:
        1 / 0
    except ZeroDivisionError:
        loggers[0].exception("caught")
    for thread in threads: thread.join()
    print("a beginning", end="")
    pause()
    inner.update(100)
    print(" and an end")
    pause()
print("behind")
"""


def test_everything_that_is_written_stands_whole_and_in_order_above_the_bars(session: Any, tools: Any) -> None:
    with session(EVERYTHING, 100, 30) as terminal:
        # All of it, while the window is wide: in a narrow one a traceback's lines are folded.
        last = [*(f"thread {number} line 59" for number in range(3)), "thread 3 stumbles", "ZeroDivisionError", "worn"]
        tools.until(lambda: all(any(word in line for line in terminal.all_lines) for word in last))
        tools.until(lambda: terminal.last_has("loss=0.25"))
        terminal.resize(70, 30)
        terminal.go()
        seen: list[str] = []

        def is_redrawn() -> bool:
            seen[:] = terminal.all_lines
            begun = [bar[:12] for bar in seen[-2:] if len(bar) == 69]
            return begun == ["Outer:  25%|", "Inner:  60%|"] and "a beginning and an end" in seen

        tools.until(is_redrawn)

        *lines, outer, inner = seen
        assert "Outer" not in "".join(lines) + outer[5:]
        assert "Inner" not in "".join(lines) + inner[5:]
        for number, count in enumerate([60, 60, 60, 21]):
            mine = [line[line.index("thread") :] for line in lines if f"thread {number} line" in line]
            assert mine == [f"thread {number} line {i:02}" for i in range(count)]
        assert "printed in pieces" in lines
        follow(lines, "line one", "line two", "line three")
        assert any(line.endswith("UserWarning: worn") for line in lines)
        caught = next(i for i, line in enumerate(lines) if line.endswith("caught"))
        assert lines[caught + 1] == "    Traceback (most recent call last):"
        assert block(lines, caught + 1)[-1] == "    ZeroDivisionError: division by zero"
        # Of a thread's traceback the lines come one by one; those of other threads stay out of it.
        stumbled = next(i for i, line in enumerate(lines) if line.startswith("Exception in thread"))
        assert lines[stumbled + 1] == "Traceback (most recent call last):"
        end = stumbled + 1 + len(block(lines, stumbled + 2)) + 1
        assert lines[end] == "ValueError: thread 3 stumbles"
        terminal.go()
        assert terminal.end()[-1] == "behind"


def test_forked_children_write_above_their_parents_bars(session: Any, tools: Any) -> None:
    code = (
        "import multiprocessing, os, warnings\n"
        "from refunc.logging import MLLogger\n"
        "log = MLLogger('train')\n"
        "def work(number):\n"
        "    for i in range(10):\n"
        "        log.info('child %d line %d', number, i)\n"
        "        print('child', number, 'prints', i)\n"
        "warnings.simplefilter('ignore')\n"
        'with progress_context("Outer", total=4), progress_context("Inner", total=10) as inner:\n'
        "    inner.update(5)\n"
        "    children = [multiprocessing.get_context('fork').Process(target=work, args=(n,)) for n in range(3)]\n"
        "    for child in children: child.start()\n"
        "    for child in children: child.join()\n"
        "    inner.update(1)\n"
        "    pause()\n"
    )
    with session(code, 80, 30) as terminal:
        tools.until(lambda: terminal.last_has("6/10"))

        *lines, outer, inner = terminal.all_lines
        for number in range(3):
            logged = [line[line.index("child") :] for line in lines if f"child {number} line" in line]
            assert logged == [f"child {number} line {i}" for i in range(10)]
            assert [line for line in lines if line.startswith(f"child {number} prints")] == [
                f"child {number} prints {i}" for i in range(10)
            ]
        assert not [line for line in lines if "Outer" in line or "Inner" in line]
        assert (outer[:6], inner[:6]) == ("Outer:", "Inner:")


def test_workers_of_a_pool_that_is_older_than_the_bars_do_too(session: Any, tools: Any) -> None:
    code = (
        "import multiprocessing\n"
        "from refunc.logging import MLLogger\n"
        "log = MLLogger('train')\n"
        "def work(number):\n"
        "    log.info('worker line %d', number)\n"
        "with multiprocessing.get_context('fork').Pool(2) as pool:\n"
        '    with progress_context("Outer", total=4), progress_context("Inner", total=10) as inner:\n'
        "        inner.update(5)\n"
        "        pause()\n"
        "        pool.map(work, range(20), chunksize=1)\n"
        "        inner.update(1)\n"
        "        pause()\n"
    )
    with session(code, 80, 30) as terminal:
        tools.until(lambda: terminal.last_has("5/10"))
        terminal.go()
        tools.until(lambda: terminal.last_has("6/10"))

        *lines, _, _ = terminal.all_lines
        assert sorted(line[line.index("worker") :] for line in lines) == sorted(f"worker line {i}" for i in range(20))


def test_bars_make_way_while_somebody_types(session: Any, tools: Any) -> None:
    code = (
        'with progress_context("Work", total=10) as work:\n'
        "    work.update(5)\n"
        "    answer = input('go on? ')\n"
        "    print('answer:', answer)\n"
        "    work.update(1)\n"
        "    input('more? ')\n"
    )
    with session(code, keyboard=True) as terminal:
        tools.until(lambda: terminal.lines == ["go on?"])
        terminal.type("yes\n")
        tools.until(lambda: terminal.last_has("more?"))
        terminal.type("\n")

        assert terminal.end()[:-1] == ["go on? yes", "answer: yes", "more?"]
        assert terminal.lines[-1].startswith("Work:  60%|")


def test_a_bar_that_was_being_read_when_somebody_is_asked_is_not_drawn_over_the_question(
    session: Any, tools: Any
) -> None:
    code = (
        "import threading\n"
        "from refunc.logging.bars import drawing as bars\n"
        "reading = threading.Event()\n"
        "class Slow:\n"  # as a number that a GPU still works on
        "    def __float__(self):\n"
        "        if threading.current_thread() is threading.main_thread(): return 0.5\n"
        "        reading.set()\n"
        "        while not bars._screen._terminal.is_asking: time.sleep(0.01)\n"
        "        return 0.5\n"
        'with progress_context("Work", total=10) as work:\n'
        "    work.update(5, {'loss': Slow()})\n"
        "    assert reading.wait(30)\n"
        "    input('go on? ')\n"
    )
    with session(code, keyboard=True) as terminal:
        tools.until(lambda: terminal.last_has("go on?"))
        time.sleep(0.3)  # time for output that must not come

        assert terminal.lines == ["go on?"]
        terminal.type("\n")
        assert terminal.end()[0] == "go on?"


PROMPT = "import os; os.execv(sys.executable, [sys.executable, '-q', '-i', '-c', 'from refunc.logging import *'])"


def test_an_interactive_prompt_is_not_drawn_over(session: Any, tools: Any) -> None:
    with session(PROMPT, keyboard=True) as terminal:
        tools.until(lambda: terminal.last_has(">>>"))
        terminal.type("work = ProgressTracker(10, 'Work'); work.update(3)\n")
        tools.until(lambda: "Work:" in terminal.lines[-1] and terminal.last_has(">>>"))
        before = len(terminal.sent)
        time.sleep(0.3)  # time for output that must not come: the drawing thread leaves a user who types alone

        assert b"Work" not in terminal.sent[before:]
        terminal.type("work.finish(); quit()\n")
        assert any(line.startswith("Work:  30%|") for line in terminal.end())


BEGINNING = """
import threading, time
from refunc.logging import ProgressTracker
from refunc.values.terminal import at_prompt
reading = threading.Event()
class Slow:
    def __float__(self):
        if threading.current_thread() is not threading.main_thread():
            reading.set()
            while not at_prompt(): time.sleep(0.01)
        return 0.5
def begin():
    work = ProgressTracker(10, "Work")
    work.update(5, {"loss": Slow()})
    # From Python 3.13 on the prompt is on the stack, whatever is typed there: then nothing is read for drawing at all.
    while not (reading.is_set() or at_prompt()): time.sleep(0.01)
    return work
"""


def test_a_bar_that_was_being_read_when_the_prompt_comes_is_not_drawn_over_it(session: Any, tools: Any) -> None:
    code = f"import os; os.execv(sys.executable, [sys.executable, '-q', '-i', '-c', {BEGINNING!r}])"
    with session(code, keyboard=True) as terminal:
        tools.until(lambda: terminal.last_has(">>>"))
        terminal.type("work = begin()\n")
        tools.until(lambda: "Work:" in terminal.lines[-1] and terminal.last_has(">>>"))
        time.sleep(0.3)  # time for output that must not come

        assert b"loss" not in terminal.sent
        terminal.type("work.finish(); quit()\n")
        assert any(line.startswith("Work:  50%|") for line in terminal.end())


def test_a_line_at_an_interactive_prompt_is_followed_by_the_bar_once(session: Any, tools: Any) -> None:
    with session(PROMPT, keyboard=True) as terminal:
        tools.until(lambda: terminal.last_has(">>>"))
        # The drawing thread is not to come between the line and the prompt.
        without_ticks = "from refunc.logging.bars import drawing as bars; bars._TICK = 3600"
        terminal.type(f"{without_ticks}; work = ProgressTracker(10, 'Work'); work.update(3)\n")
        tools.until(lambda: "Work:" in terminal.lines[-1] and terminal.last_has(">>>"))
        before = len(terminal.sent)
        terminal.type("sum([1, 2])\n")
        tools.until(lambda: "3" in terminal.lines and terminal.last_has(">>>"))

        assert terminal.sent[before:].count(b"Work") == 1
        terminal.type("work.finish(); quit()\n")
        assert any(line.startswith("Work:  30%|") for line in terminal.end())


def test_bars_of_other_libraries_and_ours_keep_out_of_each_others_way(session: Any, tools: Any) -> None:
    code = (
        "import tqdm\n"
        "with tqdm.tqdm(total=4, desc='Theirs', mininterval=0) as theirs:\n"
        '    with progress_context("Ours", total=10) as ours:\n'
        "        with tqdm.tqdm(total=4, desc='Inside', mininterval=0) as inside:\n"
        "            for i in range(4):\n"
        "                theirs.update(1); ours.update(1); inside.update(1)\n"
        "                print('printed', i)\n"
        "                tqdm.tqdm.write(f'written {i}')\n"
        "            pause()\n"
    )
    with session(code) as terminal:
        tools.until(lambda: "4/10" in " ".join(terminal.lines))

        *lines, theirs, ours, inside = terminal.all_lines
        assert lines == [text for i in range(4) for text in (f"printed {i}", f"written {i}")]
        assert (theirs[:12], ours[:5], inside[:12]) == ("Theirs: 100%", "Ours:", "Inside: 100%")


def test_a_bar_on_stdout_shares_the_terminal_too(session: Any) -> None:
    code = (
        'with TqdmProgressTracker(10, "Work", file=sys.stdout) as work:\n'
        "    work.update(5)\n"
        "    print('printed')\n"
        "    print('an error', file=sys.stderr)\n"
    )
    with session(code) as terminal:
        *lines, bar = terminal.end()

        assert lines == ["printed", "an error"]
        assert bar.startswith("Work:  50%|")


def test_several_lines_without_the_last_end_are_shown_at_a_flush_and_go_on(session: Any) -> None:
    code = (
        'with progress_context("Work", total=2):\n'
        "    sys.stdout.write('one\\ntwo'); sys.stdout.flush()\n"
        "    held = list(bars._screen._terminal._held._texts.values())\n"
        "    print(' and more')\n"
        "print(held)\n"
    )
    with session(code) as terminal:
        one, two, bar, held = terminal.end()

        assert (one, two, held) == ("one", "two and more", "['two']")
        assert bar.startswith("Work:   0%|")


def test_a_bar_that_cannot_be_drawn_does_not_reach_who_prints(session: Any) -> None:
    code = (
        'with progress_context("Work", total=2):\n'
        "    def refuse(*_, **__): raise RuntimeError('not now')\n"
        "    bars._screen.bars[0]._drawn.refresh = refuse\n"
        "    print('printed')\n"
        "print('behind')\n"
    )
    with session(code) as terminal:
        lines = terminal.end()

        assert "printed" in lines
        assert lines[-1] == "behind"


def test_streams_are_given_back_with_what_was_held_of_a_line(session: Any) -> None:
    code = (
        "import builtins, threading\n"
        "def shadows():\n"
        "    return [name for one in (sys.stdout, sys.stderr) for name in ('write', 'flush') if name in vars(one)]\n"
        "before = builtins.input, threading.excepthook\n"
        'with progress_context("Work", total=2):\n'
        "    during = shadows()\n"
        "    print('a beginning', end='')\n"
        "print(' and an end')\n"
        "print(len(during), shadows(), before == (builtins.input, threading.excepthook))\n"
    )
    with session(code) as terminal:
        bar, *lines = terminal.end()

        assert bar.startswith("Work:   0%|")
        assert lines == ["a beginning and an end", "4 [] True"]


def test_a_line_and_the_bars_behind_it_are_one_write(session: Any) -> None:
    """So that nothing of another process gets between them."""
    code = (
        "import os\n"
        "bars._TICK = 1000\n"
        'with progress_context("Outer", total=2), progress_context("Inner", total=2):\n'
        "    written = []\n"
        "    terminal = bars._screen._terminal\n"
        "    write, terminal._write = terminal._write, written.append\n"
        "    print('a line')\n"
        "    terminal._write, seen = write, list(written)\n"
        "print(len(seen), 'a line' in seen[0], 'Inner' in seen[0])\n"
    )
    with session(code) as terminal:
        assert terminal.end()[-1] == "1 True True"


def block(lines: list[str], start: int) -> list[str]:
    """Return the indented lines from *start* on."""
    count = next((i for i, line in enumerate(lines[start:]) if not line.startswith("  ")), len(lines) - start)
    return lines[start : start + count]


def follow(lines: list[str], *texts: str) -> None:
    """Assert that *texts* are lines, one behind the other."""
    start = lines.index(texts[0])
    assert lines[start : start + len(texts)] == list(texts)
