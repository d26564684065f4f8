"""`refunc gc --fold` killed at every step: nothing is lost, and folding again finishes it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.many_writers import make_run

pytestmark = [pytest.mark.once, pytest.mark.extras]

#: Folds copies of a run in children, of which each ends at another call; reads the files left, and folds again.
KILLED = """
import json, os, shutil, sys
os.fsync = os.fdatasync = lambda fd: None  # no power fails here, and a slow disk would take minutes for all
from pathlib import Path
from refunc.journal.reader import Account, read_journal
from refunc.journal.tail import Tail
from refunc_commands.upkeep.folding import fold

run, place = Path(sys.argv[1]), Path(sys.argv[2])
CALLS = ("open", "write", "fchmod", "utime", "fsync", "rename", "unlink", "close")

def read(folder):
    account = Account()
    found = [repr(record) for record in read_journal(folder, account)]
    tail, count = Tail(folder), 0
    while some := tail.read(1_000):
        count += len(some)
    return found, repr(account), count

def ending_at(step, before, folder):
    left = step
    def wrapped(call):
        def counted(*arguments, **options):
            nonlocal left
            left -= 1
            if not left and before:
                os._exit(9)
            answer = call(*arguments, **options)
            if not left:
                os._exit(9)
            return answer
        return counted
    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))
    fold(folder)
    os._exit(0)

whole, wrong, steps, states = read(run), [], 0, set()
for before in (True, False):
    for step in range(1, 10_000):
        folder = place / f"{run.name[:-8]}{step:04}{before:04}"
        shutil.copytree(run, folder)
        for path in sorted((run / "journal").iterdir()):
            os.utime(folder / "journal" / path.name, (1e9, 1e9))
        child = os.fork()
        if not child:
            ending_at(step, before, folder)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        names = sorted(path.name for path in (folder / "journal").iterdir())
        states.add((sum(n.startswith(".") for n in names), sum(n.endswith(".folded") for n in names), len(names)))
        if read(folder) != whole:
            wrong.append([step, before, "reads otherwise", names])
        fold(folder)
        names = sorted(path.name for path in (folder / "journal").iterdir())
        if len(names) != 1 or not names[0].endswith(".folded") or names[0].startswith("."):
            wrong.append([step, before, "is not finished", names])
        if read(folder) != whole:
            wrong.append([step, before, "reads otherwise when it is folded again", names])
        shutil.rmtree(folder)
        steps += 1
        if code == 0:
            break
print(json.dumps({"wrong": wrong, "steps": steps, "states": len(states)}))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing can be forked")
def test_a_kill_at_any_call_loses_nothing_and_folding_again_finishes_it(
    own_folder: Path, finished: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    run = make_run(own_folder / "experiments" / "20261128-120000_many_aaaaaaaa", 4)

    code, out, errors = finished(KILLED, run, tmp_path, deadline=250)

    assert code == 0, errors
    said = json.loads(out)
    assert said["wrong"] == []
    assert said["steps"] > 60
    assert said["states"] >= 6  # a draft, both, and each file less
