"""Names, messages, links and journals of somebody who means harm: nothing leaves the store, and nothing acts."""

from __future__ import annotations

import csv
import io
import json
import os
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.cursor import Cursor, DeliveryLock
from refunc.delivery.process import _LogFile
from refunc.journal.codec import MAX_LEVELS, MAX_LINE_BYTES, MAX_VALUES, decode_line, encode_line, seal
from refunc.journal.record import Artifact
from refunc.logging import ExperimentTracker, MLFormatter, MLLogger
from refunc.logging.console import ConsoleHandler
from refunc.logging.formatters import ColoredFormatter
from refunc.plugins.run import RunInfo
from refunc.runs.run import Run
from refunc.runs.store import open_store

pytestmark = [
    pytest.mark.crash,
    pytest.mark.extras,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("clean_process"),
]

#: What a reader may take beyond what it takes to start.
MEMORY = 100 << 20

_UP = ["../" * depth + what for depth in (1, 2, 5, 12) for what in ("x", "etc/passwd", "tmp/evil")]
NAMES = [
    *_UP,
    *(path.replace("/", "\\") for path in _UP),
    *(f"a/{path}" for path in _UP[:6]),
    *(
        "/etc/passwd",
        "//etc//passwd",
        "/var/evil",
        "~/evil",
        "~root/.ssh/authorized_keys",
        "$HOME/evil",
        "%TEMP%\\evil",
    ),
    *("C:\\evil", "C:evil", "\\\\host\\share\\evil", "\\\\?\\C:\\evil", "file:///etc/passwd", "a:b", "a::$DATA"),
    *(
        ".",
        "..",
        "...",
        ". .",
        "..\x00",
        "a\x00b",
        "\x00",
        "",
        " ",
        "   ",
        "\t",
        "\n",
        "..\n",
        "\r",
        "/",
        "\\",
        "-",
        "--",
    ),
    *("con", "CON", "nul.txt", "aux", "com1", "lpt9.log", "COM¹", "prn.", "a.", "a ", ".hidden", ".gitignore"),
    *("run.json", "journal", "artifacts", "delivery", "x.jsonl", "journal/evil.000000.jsonl", "../../run.json"),
    *("-rf", "--store=/tmp", "$(touch evil)", "`touch evil`", "; touch evil", "| touch evil", "*", "?", "{a,b}", "!!"),
    *("%2e%2e%2fevil", "..%c0%afevil", "%00", "．．／evil", "‥/evil", "．．＼evil", "∕etc∕passwd", "⁄etc", "․․/evil"),
    *(
        "a" * 255,
        "a" * 256,
        "a" * 70_000,
        "../" * 5_000,
        "é" * 200,
        "😀" * 100,
        "\ud800",
        "\udcff/../evil",
        "a\u202e/b",
    ),
    *(
        "\x1b[2J",
        "\x1b]0;evil\x07",
        "\u202egnp.exe",
        "\u2028",
        "a\r\nb",
        "\x9b31m",
        "<script>",
        "' OR 1=1 --",
        "{{7*7}}",
    ),
]

#: What acts on a terminal: cursor, colours, titles, clipboard, links, queries, bells, directions, forged lines.
CONTROLS = [
    *(
        "\x1b[2J",
        "\x1b[31mred",
        "\x1b[1A\x1b[2K",
        "\x1b]0;title\x07",
        "\x1b]52;c;ZXZpbA==\x07",
        "\x1b]8;;http://e\x1b\\x",
    ),
    *(
        "\x1b[6n",
        "\x1b[c",
        "\x1bP$q\x1b\\",
        "\x1b[?1049h",
        "\x1bc",
        "\x1b(0",
        "\x9b2J",
        "\x9d0;t\x9c",
        "\x90q\x9c",
        "\x84",
    ),
    *(
        "a\rb",
        "a\r\nforged line",
        "a\nforged line",
        "\x08\x08\x08",
        "\x07",
        "\x00",
        "\x7f",
        "\x0b",
        "\x0c",
        "\x0e",
        "\x1a",
    ),
    *(
        "\u202eevil",
        "\u2066evil\u2069",
        "\u200f",
        "\u061c",
        "\u202d",
        "\u2067\u2068",
        "\u2028",
        "\u2029",
        "\x85",
        "\x1c",
    ),
    *(
        "\ud800",
        "\udc9b",
        "[bold red]markup[/]",
        "[link=http://e]x[/link]",
        "%s %n %(x)s {0}",
        "\t\x1b[5m",
        "\x1b",
        "\x1b[",
    ),
]

FORMULAS = [
    *(
        "=1+1",
        "=cmd|' /C calc'!A0",
        '=HYPERLINK("http://e?"&A1,"x")',
        "+1+1",
        "+cmd|'x'!A",
        "-1+1",
        "-2+3+cmd|' /C x'!A0",
    ),
    *("a;=1+1", 'a;"=1+1', "a\t@SUM(1,1)", "a;+1+cmd|'x'!A"),
    *("@SUM(1,1)", "@x", "\t=1+1", "\r=1+1", "\n=1+1", "＝1+1", "＋1", "－1", "＠x", "=\x00", '="a","b"', "=1\n=2"),
]


def _files(folder: Path) -> set[str]:
    return {os.path.join(place, name) for place, folders, names in os.walk(folder) for name in (*folders, *names)}


@pytest.fixture
def shown() -> Callable[..., str]:
    """Return what a command prints, on both streams."""
    from click.testing import CliRunner

    from refunc.cli.root import refunc

    def show(*arguments: str) -> str:
        result = CliRunner().invoke(refunc, list(arguments))
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.output

    return show


def _is_harmless(text: str, *, colored: bool = False) -> bool:
    """Whether *text* is letters and newlines; with the colours that refunc itself puts there, if it does."""
    if colored:
        text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    return all(each.isprintable() or each in "\n\t" for each in text)


# -- names ------------------------------------------------------------------------------------------------------------


def test_no_name_leads_out_of_the_store(own_folder: Path, shown: Callable[..., str]) -> None:
    """As a run's, an experiment's, a logger's, an artifact's: each stands in full inside the JSON."""
    assert len(NAMES) >= 110
    outside = own_folder.parent
    work = own_folder / "deep" / "er" / "work"
    work.mkdir(parents=True)
    source = work / "model.bin"
    source.write_bytes(b"weights")
    store, before = work / "store", _files(outside)
    for name in NAMES:
        log = MLLogger(name, "CRITICAL", log_dir=work / "logs")
        with ExperimentTracker(name, name, log_dir=store, logger=log) as run:
            run.log_artifact(str(source), name, name=name, metadata={name: name})
            run.log_metrics({name: 1.0})
            log.error(name)
        assert run.folder is not None
        assert run.folder.parent == store
        found = Run.open(run.folder)
        written = name if name.isascii() else name.encode("utf-8", "backslashreplace").decode()
        assert found.birth["experiment_name"][:60_000] in (name[:60_000], written[:60_000]) or name == ""
        [artifact] = found.summary.artifacts
        [kept] = RunInfo(run_id="x", folder=run.folder).files_of(artifact)
        assert kept.source.read_bytes() == b"weights"
        assert _is_harmless(shown("show", str(run.folder)))

    made = {Path(path) for path in _files(outside) - before}
    assert all(path.is_relative_to(store) or path.is_relative_to(work / "logs") for path in made), made
    assert all(re.fullmatch(r"[\w.-]+", path.name, re.ASCII) and ".." not in path.name for path in made)
    assert len(list(open_store(store))) == len(NAMES)


def test_files_with_hostile_names_are_kept_under_plain_ones(own_folder: Path) -> None:
    folder = own_folder / "results"
    folder.mkdir()
    names = [name for name in NAMES if name not in ("", ".", "..") and not set(name) & {"/", "\x00", "\ud800"}]
    names = [name for name in names if len(os.fsencode(name)) < 255]
    for name in names:
        (folder / name).write_bytes(os.fsencode(name))
    with ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL")) as run:
        for name in names:
            run.log_artifact(folder / name)
        run.log_artifact(folder)
        assert run.folder is not None
        place = run.folder

    objects = list((place / "artifacts").iterdir())
    assert all(re.fullmatch(r"[0-9a-f]{16}-[\w.-]+", path.name, re.ASCII) for path in objects)
    *single, whole = Run.open(place).summary.artifacts
    info = RunInfo(run_id="x", folder=place)
    assert len(single) == len(names) > 60
    assert len(info.files_of(whole)) == len(names)


@pytest.mark.parametrize(
    "stored",
    [
        *(
            "../secret",
            "../../secret",
            "artifacts/../../secret",
            "/etc/passwd",
            "/dev/zero",
            "/dev/stdin",
            "/proc/self/mem",
        ),
        *(
            "artifacts/link",
            "artifacts/loop",
            "artifacts/pipe",
            "artifacts/folder",
            "",
            ".",
            "..",
            "a\x00b",
            "x" * 5_000,
        ),
    ],
)
def test_a_forged_artifact_gives_an_integration_no_file_of_anybody_else(stored: str, tmp_path: Path) -> None:
    """Neither as a file, nor as the list of a folder's files, nor within one; and none is opened to find out."""
    (tmp_path / "secret").write_text('[{"path": "x", "stored": "artifacts/fine"}]')
    run = tmp_path / "run"
    (run / "artifacts" / "folder").mkdir(parents=True)
    (run / "artifacts" / "fine").write_text("fine")
    (run / "artifacts" / "link").symlink_to(tmp_path / "secret")
    (run / "artifacts" / "loop").symlink_to("loop")
    os.mkfifo(run / "artifacts" / "pipe")
    info = RunInfo(run_id="x", folder=run)

    assert info.files_of(Artifact(name="a", stored=stored, mtime=1.0)) == []
    assert info.files_of(Artifact(name="a", stored=stored)) == []
    listing = run / "artifacts" / "listing"
    for entry in (
        {"path": "x", "stored": stored},
        {"path": stored, "stored": "artifacts/link"},
        stored,
        [stored],
        None,
    ):
        listing.write_text(json.dumps([entry, {"path": "fine", "stored": "artifacts/fine"}]))
        assert [each.path for each in info.files_of(Artifact(name="a", stored="artifacts/listing"))] == ["fine"]
    for whole in ("7", "null", '"text"', '{"a": 1}', "[" * 100_000, "\xff"):
        listing.write_text(whole, "latin-1")
        assert info.files_of(Artifact(name="a", stored="artifacts/listing")) == []


# -- links ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["artifacts", "journal", "delivery"])
def test_nothing_is_written_through_a_folder_that_is_a_link(what: str, own_folder: Path) -> None:
    elsewhere = own_folder / "elsewhere"
    elsewhere.mkdir()
    Path("model.bin").write_bytes(b"weights")
    with ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL")) as run:
        run.log_metrics({"n": 0})
        assert run.flush(sync=True)
        assert run.folder is not None
        place = run.folder
        if (place / what).exists():
            (place / what).rename(place / "aside")
        (place / what).symlink_to(elsewhere)
        run.log_artifact("model.bin")
        assert run._run is not None
        run._run.writer._is_deleted = True  # type: ignore[union-attr]  # the next batch begins a segment
        run.log_metrics({"n": 1})
        run.flush()
        cursor = Cursor(place, "probe", "probe")
        for write in (cursor.save, DeliveryLock(place, "probe").take):
            if what == "delivery":
                with pytest.raises(OSError, match="symbolic links"):
                    write()
        (place / what).unlink()

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["probe.lock", "probe.json", "process.log", "probe.dead.jsonl"])
@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_written_through_a_link_beside_a_cursor(name: str, exists: bool, own_folder: Path) -> None:
    from refunc.journal.file import no_links

    victim = own_folder / "victim"
    if exists:
        victim.write_text("mine")
    delivery = own_folder / "run" / "delivery"
    delivery.mkdir(parents=True)
    (delivery / name).symlink_to(victim)
    writes: dict[str, Callable[[], Any]] = {
        "probe.lock": DeliveryLock(own_folder / "run", "probe").take,
        "process.log": lambda: _LogFile(delivery / name),
        "probe.dead.jsonl": lambda: no_links(delivery / name, os.O_WRONLY | os.O_CREAT),
    }
    if name == "probe.json":
        Cursor(own_folder / "run", "probe", "probe").save()
        assert not (delivery / name).is_symlink()
    else:
        with pytest.raises(OSError, match="symbolic links"):
            writes[name]()

    assert victim.exists() == exists
    assert not exists or victim.read_text() == "mine"


# -- terminals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("colored", [True, False])
def test_no_message_acts_on_a_terminal(colored: bool) -> None:
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
    assert _is_harmless(printed, colored=colored)
    # A newline in a message begins no line that looks like one of ours.
    assert not [line for line in printed.splitlines() if line.startswith(("forged", "\x1b[0mforged"))]


def _hostile_run(folder: Path, each: str) -> None:
    """Write a run whose every word is *each*, as no logger of ours would."""
    (folder / "journal").mkdir(parents=True)
    words = dict.fromkeys(
        ("run_name", "experiment_id", "experiment_name", "parent_id", "host", "script", "python"), each
    )
    (folder / "run.json").write_text(json.dumps({"format": 1, "run_id": each, "start_time": 1.0, "pid": each, **words}))
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
def test_no_command_prints_what_acts_on_a_terminal(each: str, own_folder: Path, shown: Callable[..., str]) -> None:
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
        assert _is_harmless(shown(*arguments)), arguments
    for arguments in (["show", each or "x"], ["show", "broken"], ["--store", each, "ls"], ["ls", "--experiment", each]):
        assert _is_harmless(shown(*(word.replace("\x00", "") for word in arguments))), arguments


def test_a_terminal_gets_refuncs_own_colours_and_nothing_else(own_folder: Path) -> None:
    """The same on a real pseudo-terminal, all at once."""
    pty = pytest.importorskip("pty")
    for number, each in enumerate(CONTROLS):
        _hostile_run(own_folder / "experiments" / f"run{number}", each)
    commands = [["ls"], *(["show", f"run{number}"] for number in random.Random(1).sample(range(len(CONTROLS)), 5))]
    for command in commands:
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "refunc", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"},
        )
        os.close(theirs)
        said = b""
        try:
            while data := os.read(ours, 65_536):
                said += data
        except OSError:  # Linux: the other side is closed
            pass
        os.close(ours)
        process.wait(60)
        assert said
        assert _is_harmless(said.decode().replace("\r\n", "\n"), colored=True), command


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


# -- journals ---------------------------------------------------------------------------------------------------------

# Reads one run in every way there is, and says what that took of memory and what it found. VmHWM, since ru_maxrss of a
# child begins with what its parent had.
_READER = """
import contextlib, io, json, sys
from pathlib import Path
import click.testing, refunc.cli.root
from refunc.delivery.cursor import Cursor
from refunc.delivery.subscription import Subscription
from refunc.journal.reader import read_backwards, read_journal
from refunc.journal.tail import Tail
from refunc.runs.run import Run, RunFormatError

def memory(name):
    with open("/proc/self/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(name))

def read(way):
    numbers = []
    if way == "forwards": numbers = [record.seq for record in read_journal(folder)]
    elif way == "backwards": numbers = [record.seq for record in read_backwards(folder)]
    elif way == "tail":
        tail = Tail(folder)
        while some := tail.read(100): numbers += [record.seq for record in some]
        tail.waiting()
    elif way == "delivery":
        Cursor.load(folder, "probe", "probe").health()
        Subscription(folder, "probe", "probe").wants()
    else:
        arguments = [way, *([str(folder)] if way == "show" else [])]
        result = click.testing.CliRunner().invoke(refunc.cli.root.refunc, arguments)
        if not isinstance(result.exception, (SystemExit, type(None))): raise result.exception
    return dict(grown=memory("VmHWM") - before, numbers=numbers)

folder = Path(sys.argv[1])
before = memory("VmRSS")
print(json.dumps({way: read(way) for way in sys.argv[2:]}))
"""

WAYS = ["forwards", "backwards", "tail", "delivery", "show", "ls"]


def _metrics(first: int, count: int) -> bytes:
    return b"".join(
        encode_line({"seq": n, "time": float(n), "kind": "metrics", "metrics": {"n": n}})
        for n in range(first, first + count)
    )


def _deep(levels: int, opening: bytes = b'{"a":', closing: bytes = b"}") -> bytes:
    body = opening * levels + b"1" + closing * levels
    return seal(b'{"seq":5,"time":5.0,"kind":"params","params":{"a":' + body + b"}}")


def _giant(write: Callable[[Any], None]) -> Callable[[Path], None]:
    """Return what writes a journal with ten records, then something giant, then ten more."""

    def make(path: Path) -> None:
        with open(path, "wb") as file:
            file.write(encode_line({"kind": "segment", "format": 1, "logger": "m"}) + _metrics(0, 5))
            write(file)
            file.write(b"\n" + _metrics(6, 5))

    return make


def _crowded(piece: bytes, size: int = MAX_LINE_BYTES - 200) -> Callable[[Any], None]:
    """Return what writes a line that is whole, and has as many values as go into it."""
    values = b",".join([piece] * (size // (len(piece) + 1)))
    return lambda file: file.write(seal(b'{"seq":5,"time":5.0,"kind":"params","params":{"a":[' + values + b"]}}"))


def _names(count: int, length: int) -> Callable[[Any], None]:
    metrics = {f"{n:0{length}}": n / 7 for n in range(count)}
    return lambda file: file.write(encode_line({"seq": 5, "time": 5.0, "kind": "metrics", "metrics": metrics}))


def _sparse(size: int) -> Callable[[Any], None]:
    return lambda file: file.seek(size, 1)


def _repeat(piece: bytes, size: int) -> Callable[[Any], None]:
    def write(file: Any) -> None:
        block = piece * ((1 << 20) // len(piece))
        for _ in range(size // len(block)):
            file.write(block)

    return write


JOURNALS: dict[str, Callable[[Path], None]] = {
    "a line of 1 GB": _giant(_sparse(1 << 30)),
    "a line of 100 MB that looks like a record": _giant(_repeat(b'{"seq":5,"a":[1,', 100 << 20)),
    "a line just too long": _giant(lambda file: file.write(b"x" * (MAX_LINE_BYTES + 1))),
    "a line just not too long": _giant(lambda file: file.write(b"x" * (MAX_LINE_BYTES - 1))),
    "lines of 12 MB": _giant(lambda file: [file.write(b"x" * 12_000_000 + b"\n") for _ in range(5)]),
    "two million empty lines": _giant(_repeat(b"\n", 2 << 20)),
    "zeros with newlines": _giant(_repeat(b"\x00" * 63 + b"\n", 32 << 20)),
    "a text of 15 MB": _giant(
        lambda file: file.write(
            encode_line({"seq": 5, "time": 5.0, "kind": "log", "level": "INFO", "message": "x" * 15_000_000})
        )
    ),
    "100,000 levels": _giant(lambda file: file.write(_deep(100_000))),
    "100,000 lists": _giant(lambda file: file.write(_deep(100_000, b"[", b"]"))),
    "three million brackets": _giant(lambda file: file.write(b"[" * 3_000_000)),
    "as deep as a line may be": _giant(lambda file: file.write(_deep(MAX_LEVELS - 3))),
    "one level too many": _giant(lambda file: file.write(_deep(MAX_LEVELS))),
    "as deep as Python goes": _giant(lambda file: file.write(_deep(900))),
    "five million lists": _giant(_crowded(b"[]")),
    "two million dicts": _giant(_crowded(b'{"a":1}')),
    "four million numbers": _giant(_crowded(b"1.5")),
    "three million texts": _giant(_crowded(b'"ab"')),
    "a million names": _giant(_names(1_000_000, 6)),
    "as many names as a line may have": _giant(_names(MAX_VALUES - 10, 30)),
    "thirty lines with as many dicts as a line may have": _giant(
        lambda file: [_crowded(b'{"a":1}', 900_000)(file) for _ in range(30)]
    ),
    "a text of five million commas": _giant(
        lambda file: file.write(
            encode_line({"seq": 5, "time": 5.0, "kind": "log", "level": "INFO", "message": '\\",[{' * 1_500_000})
        )
    ),
    "seven million quotes": _giant(
        lambda file: file.write(seal(b'{"a":' + b'"",' * 200_000 + b'""' * 6_000_000 + b"}"))
    ),
    "a number out of all": _giant(lambda file: file.write(_metrics(2**62, 1))),
    "20,000 numbers out of all": _giant(lambda file: [file.write(_metrics(2**62 + n * 7, 1)) for n in range(20_000)]),
    "a number of 100,000 digits": _giant(
        lambda file: file.write(seal(b'{"seq":5,"time":' + b"9" * 100_000 + b',"kind":"tags","tags":{}}'))
    ),
    "many pointers": _giant(
        lambda file: file.write(
            seal(json.dumps({"seq": 5, "time": 5.0, "nonfinite": {"/a" * n: "NaN" for n in range(2_000)}}).encode())
        )
    ),
}


@pytest.fixture
def read() -> Callable[..., dict[str, Any]]:
    def read(folder: Path, *ways: str) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, "-c", _READER, str(folder), *ways],
            env={**os.environ, "REFUNC_DIR": str(folder.parent)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stderr
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return read


@pytest.fixture
def run_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "store" / "run"
    (folder / "journal").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"format": 1, "run_id": "hostile0", "start_time": 1.0}))
    yield folder
    for path in folder.rglob("*"):  # pytest keeps the folders of some runs, and these are big
        if path.is_file():
            path.unlink()


@pytest.mark.parametrize("journal", JOURNALS)
def test_a_hostile_journal_costs_no_memory_and_hides_nothing_behind_it(
    journal: str, run_folder: Path, read: Callable[..., dict[str, Any]]
) -> None:
    JOURNALS[journal](run_folder / "journal" / "w.000000.jsonl")

    for way, found in read(run_folder, *WAYS).items():
        assert found["grown"] <= MEMORY, (way, found["grown"] >> 20)
        if way in ("forwards", "backwards", "tail"):
            numbers = [number for number in found["numbers"] if number != 5 and number < 2**61]
            assert sorted(numbers) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10], way


@pytest.mark.parametrize("name", ["run.json", "delivery/probe.json", "delivery/probe.lock", "journal/v.000000.jsonl"])
@pytest.mark.parametrize("content", [b"", b'{"a":' * 250_000])
def test_any_other_file_of_a_run_may_be_a_gigabyte(
    name: str, content: bytes, run_folder: Path, read: Callable[..., dict[str, Any]]
) -> None:
    (run_folder / "journal" / "w.000000.jsonl").write_bytes(_metrics(0, 5))
    path = run_folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    os.truncate(path, 1 << 30)

    for way, found in read(run_folder, "delivery", "show", "ls").items():
        assert found["grown"] <= MEMORY, (way, found["grown"] >> 20)


def test_a_line_is_refused_one_level_above_what_is_allowed_and_not_before() -> None:
    assert decode_line(_deep(MAX_LEVELS - 3)[:-1]) is not None
    assert decode_line(_deep(MAX_LEVELS)[:-1]) is None
    assert decode_line(encode_line({"text": "[{" * 1_000, "list": [[1]] * 1_000})[:-1]) is not None


def test_a_line_is_refused_with_one_value_more_than_is_allowed_and_not_before() -> None:
    def line(count: int) -> bytes:
        return encode_line({"seq": 5, "metrics": {str(n): 0 for n in range(count)}})[:-1]

    texts = {"text": ',[{"\\' * 200_000, '\\"': '\\"\\\\",'}
    assert decode_line(line(MAX_VALUES - 2)) is not None
    assert decode_line(line(MAX_VALUES)) is None
    assert decode_line(encode_line(texts)[:-1]) == texts
    assert decode_line(encode_line({**texts, "list": [0] * MAX_VALUES})[:-1]) is None
