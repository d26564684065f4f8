"""Whether a run lives, over kinds of openers and of locks: the lock alone does not say."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.core.conftest import Process

from refunc.journal import alive
from refunc.journal.alive import life_of
from refunc.journal.codec import encode_line
from refunc.processes.opener import Opener, facts_of_this_process

pytestmark = [
    pytest.mark.once,
    pytest.mark.skipif(not os.path.exists("/proc/locks"), reason="elsewhere processes cannot be asked"),
]

DAY = 86_400.0


def make(folder: Path, opener: Process, *, silent: float = 0.0, host: str | None = None, **facts: Any) -> Path:
    """Make a run without an end that *opener* opened; *facts* replace those of its opener in `run.json`."""
    (folder / "journal").mkdir(parents=True)
    segment = folder / "journal" / "host-1-abc-wxyz.000000.jsonl"
    moment = time.time() - silent
    segment.write_bytes(encode_line({"kind": "log", "seq": 0, "time": moment, "level": "INFO", "message": "x"}))
    os.utime(segment, (moment, moment))
    known = facts_of_this_process(folder.stat().st_dev) | {"pid": opener.popen.pid, "began": opener.began}
    birth = {"format": 1, "run_id": "aaaaaaaa", "start_time": 1e9, "host": host or platform.node(), "pid": 1}
    (folder / "run.json").write_text(json.dumps({**birth, "opened_by": known | facts}))
    return folder


ELSEWHERE = {"host": "another", "boot": "another", "machine": "another"}
#: Kind of opener; facts in its run.json; whether it has ended; then (lives, may_live) of its run where nothing holds
#: the lock, where another process of this machine does, and where the opener does.
KINDS: dict[str, tuple[dict[str, Any], bool, tuple[bool, bool], tuple[bool, bool], tuple[bool, bool] | None]] = {
    "here": ({}, False, (False, False), (True, True), (True, True)),
    "here, gone": ({}, True, (False, False), (False, False), None),
    "here, its pid given again": ({"began": 7}, False, (False, False), (False, False), None),
    "here, seen through another mount": ({"device": 1}, False, (True, True), (True, True), (True, True)),
    "the same, gone": ({"device": 1}, True, (False, False), (False, False), None),
    "in another container": ({"pids": "pid:[1]"}, False, (False, False), (False, False), (True, True)),
    "elsewhere": (ELSEWHERE, True, (True, True), (True, True), None),
    "elsewhere, silent": ({**ELSEWHERE, "silent": 7_200.0}, True, (False, True), (False, True), None),
    "elsewhere, long silent": ({**ELSEWHERE, "silent": 8 * DAY}, True, (False, False), (False, True), None),
    "elsewhere, in the future": ({**ELSEWHERE, "silent": -9 * DAY}, True, (False, False), (False, True), None),
    "here, before a restart": ({"boot": "another"}, True, (False, False), (True, True), None),
}


@pytest.mark.parametrize("locker", ["nobody", "stranger", "opener"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_run_lives_or_not_whoever_holds_its_lock(
    kind: str, locker: str, process: Callable[..., Process], tmp_path: Path
) -> None:
    facts, has_ended, *expected = KINDS[kind]
    wanted = expected[["nobody", "stranger", "opener"].index(locker)]
    if wanted is None or (kind == "here, before a restart" and not os.path.exists("/etc/machine-id")):
        pytest.skip("there is no such thing")
    opener = process()
    began = time.monotonic()
    folder = make(tmp_path / "run", opener, **facts)
    if has_ended:
        opener.end()
    while time.monotonic() - began < 2 / os.sysconf("SC_CLK_TCK"):  # the kernel tells processes' starts apart by ticks
        continue
    if locker != "nobody":
        (opener if locker == "opener" else process()).hold(folder / "run.json")

    life = life_of(folder)

    assert (life.lives, life.may_live) == wanted
    assert life.doubt or life.lives == (locker != "nobody"), "where it is otherwise than the lock says, people are told"


def test_a_copy_is_as_old_as_what_it_says(process: Callable[..., Process], tmp_path: Path) -> None:
    folder = make(tmp_path / "run", process(), silent=8 * DAY, **ELSEWHERE)
    for path in folder.glob("journal/*"):
        os.utime(path)

    assert life_of(folder).lives is False


@pytest.mark.parametrize(
    ("kind", "options", "shared"),
    [
        (b"nfs4", b"rw,vers=4.2,local_lock=none", True),
        (b"nfs", b"rw,nolock,local_lock=all", False),
        (b"nfs", b"rw,local_lock=flock", False),
        (b"lustre", b"rw,flock", True),
        (b"lustre", b"rw,localflock", False),
        (b"overlay", b"rw,flock", False),
        (b"", b"", False),
    ],
)
def test_a_free_lock_is_believed_where_all_machines_see_locks(
    kind: bytes, options: bytes, shared: bool, process: Callable[..., Process], tmp_path: Path, monkeypatch: Any
) -> None:
    """Such file systems are not to be had in a test."""
    folder = make(tmp_path / "run", process(), **ELSEWHERE)
    monkeypatch.setattr(alive, "file_system", lambda device: (kind, options))
    alive.has_shared_locks.cache_clear()

    life = life_of(folder)
    alive.has_shared_locks.cache_clear()

    assert (life.lives, life.may_live) == (not shared, not shared)


@pytest.mark.parametrize(
    "said", [None, 7, [], {}, {"pid": -1}, {"pid": 1 << 70}, {"pid": True}, {"began": "x", "boot": 3}]
)
@pytest.mark.parametrize("host", [None, 3, "another", ["x"]])
def test_whatever_run_json_says_of_its_opener_raises_nothing(said: object, host: object, tmp_path: Path) -> None:
    opener = Opener.of({"host": host, "pid": -7, "opened_by": said})
    (tmp_path / "run.json").write_text(json.dumps({"host": host, "pid": -7, "opened_by": said}))

    assert opener.lives() is None
    assert opener.pid is None
    assert life_of(tmp_path).is_held is False


@pytest.mark.parametrize("text", ["", "[" * 100_000, "[]", "nonsense", '{"host": "\\ud800"}'])
def test_a_run_json_that_cannot_be_read_raises_nothing(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)

    assert life_of(tmp_path).is_held is False


def test_a_pipe_in_the_place_of_run_json_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.json")

    assert life_of(tmp_path).is_held is False
