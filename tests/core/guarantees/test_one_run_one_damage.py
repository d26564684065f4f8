"""A run of a stranger costs itself alone: no command ends with a traceback or waits, and the others are answered."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from refunc.journal.codec import seal

pytestmark = [
    pytest.mark.once,
    pytest.mark.extras,
    pytest.mark.timeout(120),
    pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes among files"),
]

GOOD, EVIL = "20261128-110000_good_gggggggg", "20261128-120000_evil_eeeeeeee"
START = 1_795_448_151.0

# -- the grammar -------------------------------------------------------------------------------------------------------

numbers = st.sampled_from(
    [0, -1, 1, 2**31, 2**63 - 1, 2**63, 2**64, 2**70, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, -1e308, 253402300800.0]
)
texts = st.one_of(
    st.sampled_from(
        [
            "",
            "loss",
            "x" * 300,
            "a\x00b",
            "\x1b[31m",
            "\u202e",
            "²",
            "../..",
            "/dev/zero",
            "é",
            "NaN",
            "\n",
            "[bold]",
            "*",
        ]
    ),
    st.text(max_size=8),
)
scalars = st.one_of(st.none(), st.booleans(), numbers, texts)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
metrics = st.dictionaries(st.sampled_from(["loss", "acc", "", "a/b", "*"]), st.one_of(st.none(), numbers), max_size=3)
#: The members of each kind, well typed or nearly so; any of them may be replaced by anything.
KINDS: dict[str, dict[str, Any]] = {
    "start": {"run_id": texts, "run_name": texts, "attempt": numbers},
    "log": {"level": st.sampled_from(["INFO", "RESULT", "PROGRESS", "", "²"]), "message": texts, "metrics": metrics,
            "other": st.dictionaries(texts, values, max_size=2), "step": numbers, "epoch": numbers, "exception": texts},
    "metrics": {"metrics": metrics, "step": numbers, "epoch": numbers, "auto": st.booleans()},
    "params": {"params": st.dictionaries(texts, values, max_size=3)},
    "tags": {"tags": st.dictionaries(texts, texts, max_size=3)},
    "define": {"name": texts, "goal": texts, "summary": texts, "step_metric": st.sampled_from(["loss", "epoch", ""])},
    "artifact": {"name": texts, "stored": texts, "source": texts, "size": numbers, "files": numbers, "mtime": numbers,
                 "references": numbers, "left_out": numbers, "largest_references": metrics, "metadata": values},
    "attach": {"name": texts, "key": st.sampled_from(["k1", "..", "k" * 300, "é", "a/b", ""]),
               "path": st.just("nowhere_at_all:Nothing"), "options": values, "target": texts},
    "end": {"status": texts, "duration": numbers, "metrics": metrics, "dropped": numbers, "error": texts},
    "gap": {"dropped": numbers},
    "segment": {"logger": values},
}  # fmt: skip


@st.composite
def lines(draw: st.DrawFn) -> bytes:
    kind = draw(st.sampled_from(list(KINDS)))
    fields = {name: draw(of) for name, of in KINDS[kind].items()}
    place = {"seq": draw(st.one_of(st.integers(0, 20), numbers)), "time": draw(st.one_of(st.just(START), numbers))}
    fields = {**place, "kind": kind, **fields}
    if draw(st.integers(0, 3)) == 3:
        fields[draw(st.sampled_from(list(fields)))] = draw(values)
    if draw(st.integers(0, 3)) == 3:
        name = draw(st.sampled_from(list(fields)))
        fields["nonfinite"] = {f"/{name}": draw(st.sampled_from(["NaN", "Infinity", "-Infinity", "x"]))}
        fields[name] = None
    body = seal(json.dumps(fields).encode())
    return draw(st.sampled_from([body, body, body, body, body[:-9], b"\n", b"\xff\n", body[:-1]]))


journals = st.lists(lines(), min_size=6, max_size=20).map(b"".join)
births = st.one_of(
    st.just({}),
    st.dictionaries(
        st.sampled_from(
            "run_name experiment_name experiment_id parent_id host pid script python start_time attempt logger "
            "imported format run_id".split()
        ),
        values,
        max_size=2,
    ),
)
cursors = st.fixed_dictionaries(
    {"format": st.sampled_from([1, 2, 3]), "key": texts, "name": texts, "dropped": numbers, "delivered": numbers,
     "positions": st.dictionaries(st.sampled_from(["h-1-a-b", "x"]), st.lists(scalars, max_size=5), max_size=2),
     "params": values, "tags": values, "end": values, "aside": numbers, "state": texts, "last_error": texts}
)  # fmt: skip
#: An entry in the place of a file: contents of a file, or something that is no file.
Entry = bytes | str


def entry(contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[Entry]:
    return st.one_of(*[contents] * 6, st.sampled_from(["pipe", "link", "device", "folder"]))


segment_names = st.sampled_from(
    [b"h-1-a-b.000000.jsonl", b"h-1-a-b.000001.jsonl", b"\xff.000000.jsonl", "h.².jsonl".encode(), b"x\n.1.jsonl",
     b"h." + b"9" * 200 + b".jsonl", b".000000.jsonl", b"h-1-a-b.000000.jsonl.gz", b"..000000.jsonl"]
)  # fmt: skip
hostile_runs = st.fixed_dictionaries(
    {
        b"run.json": entry(
            births.map(lambda odd: json.dumps({**birth_of("eeeeeeee", "evil"), **odd}).encode()),
        ),
        b"journal": st.builds(
            lambda main, others: {**others, b"h-1-a-b.000000.jsonl": main},
            entry(journals),
            st.dictionaries(segment_names, entry(journals), min_size=1, max_size=2),
        ),
        b"delivery/k1.json": entry(cursors.map(lambda fields: seal(json.dumps(fields).encode()))),
        b"delivery/k1.dead.jsonl": st.one_of(st.none(), entry(journals)),
        b"artifacts/loss": st.one_of(st.none(), entry(values.map(lambda value: json.dumps(value).encode()))),
    }
)


def birth_of(run_id: str, name: str) -> dict[str, Any]:
    names = {"run_id": run_id, "run_name": name, "experiment_id": name, "experiment_name": name}
    return {"format": 1, **names, "parent_id": None, "attempt": 1, "start_time": START, "host": "h", "pid": 1}


def put(path: bytes, what: Entry) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    match what:
        case "pipe":
            os.mkfifo(path)
        case "link":
            os.symlink("/etc/hostname", path)
        case "device":
            os.symlink("/dev/zero", path)
        case "folder":
            os.mkdir(path)
        case bytes():
            Path(os.fsdecode(path)).write_bytes(what)


def make(folder: Path, parts: dict[bytes, Any]) -> None:
    place = os.fsencode(folder)
    os.makedirs(place + b"/journal")
    for name, what in parts.items():
        for inner, each in what.items() if isinstance(what, dict) else [(b"", what)]:
            if each is not None:
                put(os.path.join(place, name, inner) if inner else os.path.join(place, name), each)


# -- the commands ------------------------------------------------------------------------------------------------------


def commands(store: Path) -> dict[str, list[str]]:
    evil = str(store / EVIL)
    return {
        "ls": ["ls"],
        "ls --json": ["ls", "--json"],
        "ls --where": [
            "ls",
            "--json",
            "--allow-missing",
            "--where",
            "metrics.loss < 100 or params.lr or tags.a or results.x",
        ],
        "ls --sort": ["ls", "--json", "--sort=-metrics.loss.min"],
        "show good": ["show", "gggggggg"],
        "show": ["show", evil],
        "show --json": ["show", evil, "--json"],
        "compare": ["compare", "gggggggg", evil],
        "plot": ["plot", evil, "-m", "loss"],
        "logs": ["logs", evil, "--all"],
        "logs -n": ["logs", evil, "-n", "5", "--json"],
        "tail": ["tail", evil],
        "report": ["report", evil, "-o", "-"],
        "export": ["export", "--to", "jsonl", "-o", "-"],
        "export --entries": ["export", "--entries", "--to", "jsonl", "-o", "-"],
        "doctor": ["doctor", "--json"],
        "sync": ["sync", "--patience", "0", "--json"],
        "gc": ["gc", "--experiment", "evil", "--json"],
        "gc --delete": ["gc", "--experiment", "evil", "--delete", "--yes", "--json"],
    }


def of_good(name: str, out: str) -> Any:
    """Return the part of a command's output that is about the good run."""
    match name:
        case "show good":
            return out
        case "ls":
            return [line.split() for line in out.splitlines() if "gggggggg" in line]
        case "ls --json" | "ls --where" | "ls --sort":
            return [row for row in json.loads(out) if row["run_id"] == "gggggggg"]
        case "export" | "export --entries":
            return [line for line in out.splitlines() if json.loads(line)["run_id"] == "gggggggg"]
        case "doctor":
            return [each for each in json.loads(out)["findings"] if GOOD in each["text"]]
        case "sync":
            return [row for row in json.loads(out) if row["run"] == GOOD] if out else []
    return None


Answers = dict[str, Any]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[dict[bytes, Any] | None], Answers]]:
    """Make the hostile run of the given parts beside a good one, and give all commands' answers about the good one."""
    testing = pytest.importorskip("click.testing")
    from refunc_commands.cli.root import refunc

    base = tmp_path_factory.mktemp("damage")
    store = base / "store"
    line = {"kind": "metrics", "step": 1, "metrics": {"loss": 1.5}}
    ends = {"kind": "end", "status": "completed", "duration": 1.0}
    journal = b"".join(
        seal(json.dumps({"seq": seq, "time": START + seq, **fields}).encode())
        for seq, fields in enumerate([line, ends])
    )
    birth = {**birth_of("gggggggg", "good"), "start_time": START - 3600}
    make(store / GOOD, {b"run.json": json.dumps(birth).encode(), b"journal": {b"g-1-a-b.000000.jsonl": journal}})

    def answers(parts: dict[bytes, Any] | None) -> Answers:
        shutil.rmtree(store / EVIL, ignore_errors=True)
        if parts is not None:
            make(store / EVIL, parts)
        found: Answers = {}
        for name, line in commands(store).items():
            result = testing.CliRunner().invoke(refunc, ["--store", str(store), *line])
            if result.exception is not None and not isinstance(result.exception, SystemExit):
                raise AssertionError(f"refunc {name}") from result.exception
            assert result.exit_code in (0, 1, 2), name
            assert (store / GOOD / "run.json").exists()
            found[name] = of_good(name, result.stdout)
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("REFUNC_CACHE", str(base / "cache"))
        patch.setenv("HOME", str(base))
        yield answers


@pytest.fixture(scope="module")
def alone(ask: Callable[[dict[bytes, Any] | None], Answers]) -> Answers:
    """The answers of the commands about the good run where it is alone."""
    return ask(None)


def _sealed(*records: dict[str, Any]) -> bytes:
    numbered = ({"seq": seq, "time": START + seq, **fields} for seq, fields in enumerate(records))
    return b"".join(seal(json.dumps(fields).encode()) for fields in numbered)


ATTACH = {"kind": "attach", "name": "k", "key": "k1", "path": "nowhere_at_all:Nothing", "options": {}}
END = {"kind": "end", "status": "completed", "duration": 1.0}


def a_run(
    name: bytes = b"h-1-a-b.000000.jsonl", record: dict[str, Any] = ATTACH, cursor: Any = None, **birth: Any
) -> dict[bytes, Any]:
    return {
        b"run.json": json.dumps({**birth_of("eeeeeeee", "evil"), **birth}).encode(),
        b"journal": {name: _sealed(ATTACH, record, END)},
        b"delivery/k1.json": seal(json.dumps(cursor).encode()) if isinstance(cursor, dict) else cursor,
    }


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)
@example(parts=a_run(b"\xff.000000.jsonl"))
@example(parts=a_run("h-1-a-b.².jsonl".encode()))
@example(parts=a_run(record={"kind": "gap", "dropped": 2**64}))
@example(parts=a_run(cursor={"format": 2, "key": "k1", "name": "k", "positions": {"h-1-a-b": [0, 2**70, ""]}}))
@example(parts=a_run(cursor="pipe"))
@example(parts=a_run(run_name={"a": 1}, host={"a": 1}))
@example(parts=a_run(record={**ATTACH, "key": "k" * 300}))
@given(parts=hostile_runs)
def test_a_hostile_run_costs_itself_alone(
    parts: dict[bytes, Any], ask: Callable[[dict[bytes, Any] | None], Answers], alone: Answers
) -> None:
    assert ask(parts) == alone


def test_an_exception_of_any_class_is_the_runs(
    ask: Callable[[dict[bytes, Any] | None], Answers], alone: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An error that no check has thought of: here, a reader that fails at the run in a way of its own."""
    from refunc.journal import pieces

    names_in, met = pieces.names_in, []

    def fails(folder: Path) -> Any:
        if EVIL in str(folder):
            met.append(folder)
            raise RuntimeError("odd")
        return names_in(folder)

    monkeypatch.setattr(pieces, "names_in", fails)

    assert ask({b"run.json": json.dumps(birth_of("eeeeeeee", "evil")).encode(), b"journal": {}}) == alone
    assert len(met) >= len(alone) - 1  # all but `show good` have come to it
