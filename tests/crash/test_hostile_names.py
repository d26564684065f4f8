"""Names by an attacker, of runs, files and artifacts: nothing leaves the store."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from refunc.journal.record import Artifact
from refunc.logging import ExperimentTracker, MLLogger
from refunc.plugins.run import RunInfo
from refunc.runs.run import Run
from refunc.runs.store import open_store

pytestmark = [
    pytest.mark.crash,
    pytest.mark.extras,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("clean_process"),
]

_UP = ["../" * depth + what for depth in (1, 2, 5, 12) for what in ("x", "etc/passwd", "tmp/evil")]
NAMES = [
    *_UP,
    *(path.replace("/", "\\") for path in _UP),
    *(f"a/{path}" for path in _UP[:6]),
    *("/etc/passwd", "//etc//passwd", "/var/evil", "~/evil", "~root/.ssh/authorized_keys", "$HOME/evil"),
    "%TEMP%\\evil",
    *("C:\\evil", "C:evil", "\\\\host\\share\\evil", "\\\\?\\C:\\evil", "file:///etc/passwd", "a:b", "a::$DATA"),
    *(".", "..", "...", ". .", "..\x00", "a\x00b", "\x00", "", " ", "   ", "\t", "\n", "..\n", "\r", "/", "\\", "-"),
    "--",
    *("con", "CON", "nul.txt", "aux", "com1", "lpt9.log", "COM¹", "prn.", "a.", "a ", ".hidden", ".gitignore"),
    *("run.json", "journal", "artifacts", "delivery", "x.jsonl", "journal/evil.000000.jsonl", "../../run.json"),
    *("-rf", "--store=/tmp", "$(touch evil)", "`touch evil`", "; touch evil", "| touch evil", "*", "?", "{a,b}", "!!"),
    *("%2e%2e%2fevil", "..%c0%afevil", "%00", "．．／evil", "‥/evil", "．．＼evil", "∕etc∕passwd", "⁄etc", "․․/evil"),
    *("a" * 255, "a" * 256, "a" * 70_000, "../" * 5_000, "é" * 200, "😀" * 100, "\ud800", "\udcff/../evil"),
    "a\u202e/b",
    *("\x1b[2J", "\x1b]0;evil\x07", "\u202egnp.exe", "\u2028", "a\r\nb", "\x9b31m", "<script>", "' OR 1=1 --"),
    "{{7*7}}",
]


def _files(folder: Path) -> set[str]:
    return {os.path.join(place, name) for place, folders, names in os.walk(folder) for name in (*folders, *names)}


def test_no_name_leads_out_of_the_store(
    own_folder: Path, shown: Callable[..., str], is_harmless: Callable[..., bool]
) -> None:
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
        assert is_harmless(shown("show", str(run.folder)))

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
        *("../secret", "../../secret", "artifacts/../../secret", "/etc/passwd", "/dev/zero", "/dev/stdin"),
        *("/proc/self/mem",),
        *("artifacts/link", "artifacts/loop", "artifacts/pipe", "artifacts/folder", "", ".", "..", "a\x00b"),
        *("x" * 5_000,),
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
