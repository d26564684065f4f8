"""
The readers of other people's bytes, each as a function of bytes and an empty folder, which raises where a fault is.

`run.py` drives these with coverage in sight; `test_corpus.py` repeats the inputs it has found.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import time
from collections.abc import Callable
from pathlib import Path

from refunc.annotations import AnnotationError, annotate
from refunc.annotations.file import ANNOTATIONS
from refunc.delivery.cursor import cursor_path
from refunc.delivery.custody import load_cursor, save_cursor
from refunc.delivery.origin import asked_for
from refunc.delivery.waiting import health_at, is_done_at
from refunc.journal.codec import seal
from refunc.journal.reader import Account, read_backwards, read_journal
from refunc.journal.tail import Tail
from refunc.plugins.run import RunInfo
from refunc.runs.errors import RunFormatError
from refunc.runs.run import Run
from refunc.runs.store import open_store
from refunc_commands.importing.framing import masked_crc32c

Target = Callable[[bytes, Path], None]

_BIRTH = {"format": 1, "run_id": "aaaaaaaa", "experiment_name": "x", "start_time": 1795448151.0, "logger": "l"}
_HEADER = {"kind": "segment", "format": 1, "run": "aaaaaaaa", "writer": "w-1-a-b", "segment": 0, "time": 1.0}
#: A separator of parts, which no format has.
_CUT = b"\xfe\xfe"


def _run(folder: Path, *segments: bytes, birth: bytes = b"") -> Path:
    run = folder / "store" / "20261128-120000_x_aaaaaaaa"
    for part in ("journal", "delivery", "artifacts"):
        (run / part).mkdir(parents=True)
    (run / "run.json").write_bytes(birth or json.dumps(_BIRTH).encode())
    for number, segment in enumerate(segments):
        (run / "journal" / f"w{number}-1-a-b.000000.jsonl").write_bytes(segment)
    return run


def _sealed(text: bytes) -> bytes:
    """Return the lines of *text*, those that are objects with the checksum that a reader asks for."""
    lines = [seal(line) if line[-1:] == b"}" else line + b"\n" for line in text.split(b"\n")]
    return seal(json.dumps(_HEADER).encode()) + b"".join(lines)


def read_run(data: bytes, folder: Path) -> None:
    """Two writers' lines, read in every way."""
    run = _run(folder, *map(_sealed, data.split(_CUT)[:2]))
    _look_at(run)


def read_folded(data: bytes, folder: Path) -> None:
    """A folded file: the sizes that its first line says, and behind a cut its lines."""
    sizes, _, text = data.partition(_CUT)
    run = _run(folder, _sealed(b'{"seq":0,"time":1.0,"kind":"metrics","metrics":{"a":1}}'))
    said = [b'["y%d-1-a-b.000000.jsonl",%b]' % (number, size) for number, size in enumerate(sizes.split(b";"))]
    header = b'{"kind":"folded","format":1,"segments":[' + b",".join(said) + b"]}"
    (run / "journal" / "f.folded").write_bytes(seal(header) + _sealed(text))
    _look_at(run)


def read_birth(data: bytes, folder: Path) -> None:
    """A `run.json`."""
    _look_at(_run(folder, _sealed(b'{"seq":0,"time":1.0,"kind":"metrics","metrics":{"a":1}}'), birth=data or b"{"))


def read_annotations(data: bytes, folder: Path) -> None:
    """An `annotations.json`, which is read, added to, and read again."""
    run = _run(folder, _sealed(b'{"seq":0,"time":1.0,"kind":"tags","tags":{"a":"b"}}'))
    (run / ANNOTATIONS).write_bytes(data)
    _look_at(run)
    before = Run.open(run).annotations
    try:
        after = annotate(run, tags={"a": "b"}, note="n", name="x")
    except AnnotationError:
        assert (run / ANNOTATIONS).read_bytes() == data
        return
    assert before.problem is None
    assert Run.open(run).annotations == after
    assert (Run.open(run).run_name, Run.open(run).tags["a"], after.notes[-1].text) == ("x", "b", "n")


def _look_at(run: Path) -> None:
    os.environ["REFUNC_CACHE"] = "off"
    records = list(read_journal(run, Account()))
    assert len(list(read_backwards(run))) == len(records)
    tail = Tail(run)
    while tail.read(100):
        pass
    assert tail.waiting() == 0
    asked_for(run)
    info = RunInfo(run_id="aaaaaaaa", folder=run)
    for record in records:
        if type(record).__name__ == "Artifact":
            info.files_of(record)  # type: ignore[arg-type]  # its name says it
    store = open_store(run.parent)
    store.find("metrics.a < 1 or params.lr == 'x'", allow_missing=True)
    store.to_rows()
    try:
        found = Run.open(run)
        assert found.status
        for name in list(found.summary.metrics)[:20]:
            found.metrics(name)
    except RunFormatError:
        pass


def read_cursor(data: bytes, folder: Path) -> None:
    """A cursor, and behind a cut a dead letter."""
    line = b'{"seq":0,"time":1.0,"kind":"metrics","metrics":{"a":1}}'
    run = _run(folder, _sealed(line))
    cursor, _, letters = data.partition(_CUT)
    cursor_path(run, "k").write_bytes(seal(cursor) if cursor[-1:] == b"}" else cursor)
    (run / "delivery" / "k.dead.jsonl").write_bytes(_sealed(letters))
    found = load_cursor(run, "k", "k")
    health_at(found)
    assert isinstance(is_done_at(found), bool)
    save_cursor(found)
    from refunc.delivery.dead_letters import DeadLetters

    DeadLetters(run, "k").count()
    DeadLetters(run, "k").lines()


def _imported(source: Path, folder: Path) -> None:
    from click.testing import CliRunner

    from refunc_commands.cli.root import refunc

    os.environ.update(REFUNC_CACHE="off", REFUNC_QUIET="1")
    result = CliRunner().invoke(refunc, ["--store", str(folder / "store"), "import", "--json", str(source)])
    if not isinstance(result.exception, (SystemExit, type(None))):
        raise result.exception


def import_tensorboard(data: bytes, folder: Path) -> None:
    """The payloads of an event file, framed right."""
    source = folder / "source"
    source.mkdir()
    with open(source / "events.out.tfevents.1700000000.host", "wb") as file:
        for payload in data.split(_CUT):
            length = struct.pack("<Q", len(payload))
            file.write(length + struct.pack("<I", masked_crc32c(length)))
            file.write(payload + struct.pack("<I", masked_crc32c(payload)))
    _imported(source, folder)


def import_lightning(data: bytes, folder: Path) -> None:
    """A `metrics.csv`, and behind a cut a `hparams.yaml`."""
    source = folder / "source" / "version_0"
    source.mkdir(parents=True)
    table, _, params = data.partition(_CUT)
    (source / "metrics.csv").write_bytes(table)
    (source / "hparams.yaml").write_bytes(params)
    _imported(source.parent, folder)


def import_mlflow(data: bytes, folder: Path) -> None:
    """A store of files: the run's `meta.yaml`, and behind cuts a metric and a param."""
    run = folder / "source" / "mlruns" / "0" / ("a" * 32)
    for part in ("metrics", "params", "tags"):
        (run / part).mkdir(parents=True)
    meta, metric, param, *_ = [*data.split(_CUT), b"", b"", b""]
    (run.parent / "meta.yaml").write_text("name: e\nexperiment_id: '0'\n")
    (run / "meta.yaml").write_bytes(meta)
    (run / "metrics" / "loss").write_bytes(metric)
    (run / "params" / "lr").write_bytes(param)
    _imported(folder / "source" / "mlruns", folder)


def import_database(data: bytes, folder: Path) -> None:
    """A database of MLflow, damaged: its bytes from a place on are others."""
    source = folder / "mlflow.db"
    source.write_bytes(data)
    _imported(source, folder)


TARGETS: dict[str, Target] = {
    each.__name__: each
    for each in (
        read_run, read_folded, read_birth, read_annotations, read_cursor,
        import_tensorboard, import_lightning, import_mlflow, import_database,
    )
}  # fmt: skip

#: Seconds that one input may take.
MOST_SECONDS = 10.0


def check(name: str, data: bytes, folder: Path) -> None:
    """Give *data* to a target, in the empty *folder*, which is emptied again. Raises the error, if there is one."""
    began = time.monotonic()
    try:
        TARGETS[name](data, folder)
    finally:
        for path in folder.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    took = time.monotonic() - began
    assert took < MOST_SECONDS, f"it took {took:.0f} s"
