"""`refunc gc --drafts`: the drafts of killed processes go, of every kind; a draft that a process still writes stays."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import ExperimentTracker
from refunc.outlets.replaced import is_draft_name

pytestmark = [pytest.mark.once, pytest.mark.extras]

#: Where each kind of file is written, by the code that writes it in earnest.
KINDS = {
    "run.json": """
        from refunc.logging import ExperimentTracker
        ExperimentTracker("images", "killed").start_run()
    """,
    "run.json of a launch": """
        os.environ |= {"RANK": "0", "WORLD_SIZE": "2"}
        from refunc.logging import ExperimentTracker
        ExperimentTracker("images", "killed").start_run()
    """,
    "run.json of a run that has a name": """
        os.environ["REFUNC_RUN_ID"] = "mine"
        from refunc.logging import ExperimentTracker
        ExperimentTracker("images", "killed").start_run()
    """,
    "rank": """
        from refunc.journal.ranks import take_part
        from refunc.journal.roles import Role
        take_part(run, Role(1, 3), {})
    """,
    "merged segment": """
        import shutil
        from refunc_commands.upkeep.merging import merge
        shutil.rmtree("copy", ignore_errors=True)
        shutil.copytree(run, "copy/run")
        next((run / "journal").iterdir()).unlink()
        merge([run, Path("copy/run")], run, even_if_open=True)
    """,
    "artifact": """
        from collections import deque
        from refunc.logging.artifacts.storing import Artifacts
        Path("model.pt").write_bytes(b"x" * 1_000)
        Artifacts(run, "a", deque()).store(Path("model.pt"), copy=None)
    """,
    "listing of a folder": """
        from collections import deque
        from refunc.logging.artifacts.storing import Artifacts
        Path("checkpoints").mkdir(exist_ok=True)
        Artifacts(run, "a", deque()).store(Path("checkpoints"), copy=None)
    """,
    "cursor": """
        from refunc.delivery.cursor import Cursor
        from refunc.delivery.custody import save_cursor
        save_cursor(Cursor(run, "mlflow", "mlflow"))
    """,
    "dead letters": """
        from refunc.delivery.dead_letters import DeadLetters
        letters = DeadLetters(run, "mlflow")
        letters.path.parent.mkdir(exist_ok=True)
        letters.path.write_bytes(b"{}\\n{1}\\n")
        letters._remove({b"{}\\n": 1})
    """,
    "export into the folder that you are in": """
        from refunc.runs.entries_file import whole_file
        with whole_file("points.csv") as file:
            file.write("half")
    """,
    "export into the store": """
        from refunc.runs.entries_file import whole_file
        with whole_file(run.parent / "points.csv") as file:
            file.write("half")
    """,
    "key": """
        from refunc.journal import provenance
        provenance.key_path().unlink(missing_ok=True)
        provenance._made(provenance.key_path())
    """,
}

#: Replaces the calls that give a draft its name: the process is killed there, or waits there until its stdin ends.
_PRELUDE = """
    import os, signal, sys
    from pathlib import Path

    def end(*_, **__):
        if sys.argv[1] == "waits":
            print("there", flush=True)
            sys.stdin.read()
        os.kill(os.getpid(), signal.SIGKILL)

    run = Path(sys.argv[2])
    os.replace = os.link = end
"""


def a_run() -> Path:
    tracker = ExperimentTracker("images", "a")
    tracker.start_run()
    tracker.end_run()
    assert tracker.folder is not None
    return tracker.folder


def started(kind: str, run: Path, how: str, state: Path) -> subprocess.Popen[str]:
    script = textwrap.dedent(_PRELUDE) + textwrap.dedent(KINDS[kind])
    return subprocess.Popen(
        [sys.executable, "-c", script, how, os.fspath(run)],
        env={**os.environ, "XDG_STATE_HOME": os.fspath(state)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def the_draft(place: Path) -> Path:
    (draft,) = [path for path in place.rglob(".*") if is_draft_name(path.name)]
    old = time.time() - 7_200
    os.utime(draft, (old, old))
    return draft


def removed(invoke: Any) -> list[Path]:
    said = json.loads(invoke("gc", "--drafts", "--delete", "--yes", "--json").stdout)
    return [Path(piece["path"]) for piece in said["removed"]]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the user's key is."""
    monkeypatch.setenv("XDG_STATE_HOME", os.fspath(tmp_path / "state"))
    return tmp_path / "state"


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_killed_process_has_begun_is_removed(kind: str, invoke: Any, own_folder: Path, state: Path) -> None:
    run = a_run()
    process = started(kind, run, "is killed", state)
    process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    draft = the_draft(own_folder)

    gone = removed(invoke)

    assert [path.name for path in gone] == [draft.name]
    assert not draft.exists()
    assert (run / "run.json").exists()


@pytest.mark.parametrize("kind", KINDS)
def test_what_a_process_still_writes_is_kept_however_long_it_takes(
    kind: str, invoke: Any, own_folder: Path, state: Path
) -> None:
    run = a_run()
    process = started(kind, run, "waits", state)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        draft = the_draft(own_folder)

        assert removed(invoke) == []
        assert draft.exists()
    finally:
        process.communicate(timeout=60)

    assert [path.name for path in removed(invoke)] == [draft.name]
