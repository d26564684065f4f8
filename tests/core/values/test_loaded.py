"""A module that is being imported is asked nothing, however much of it is there already."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest

from refunc.values.loaded import of_loaded

HALFWAY = """
def asked():
    return answer

import loaded_gate
loaded_gate.inside.set()
loaded_gate.opened.wait(60)
answer = 42
"""


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    """Put the module `loaded_halfway` on the path: its import waits here until it is `opened`."""
    gate = SimpleNamespace(inside=threading.Event(), opened=threading.Event())
    monkeypatch.setitem(sys.modules, "loaded_gate", gate)  # type: ignore[arg-type]
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "loaded_halfway.py").write_text(HALFWAY)
    yield gate
    sys.modules.pop("loaded_halfway", None)


def test_a_module_that_another_thread_is_importing_counts_as_not_loaded(gate: SimpleNamespace) -> None:
    thread = threading.Thread(target=import_module, args=("loaded_halfway",))
    thread.start()
    try:
        assert gate.inside.wait(20)
        with pytest.raises(NameError):
            sys.modules["loaded_halfway"].asked()
        assert of_loaded("loaded_halfway", "asked") is None
    finally:
        gate.opened.set()
        thread.join(20)
    assert of_loaded("loaded_halfway", "asked")() == 42


def test_a_stand_in_for_a_module_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a lazy one, which has any attribute that it is asked for."""

    class Anything:
        def __getattr__(self, name: str) -> Anything:
            return self

    monkeypatch.setitem(sys.modules, "loaded_stand_in", Anything())  # type: ignore[arg-type]
    assert of_loaded("loaded_stand_in", "asked") is sys.modules["loaded_stand_in"]
    assert of_loaded("loaded_nowhere", "asked") is None


# Python runs no trace function within another one, so nothing is traced but the modules themselves.
AT_EACH_LINE = """
import sys
from refunc.logging import MLLogger
from refunc.logging.active.started import current_task
from refunc.processes.parent import given_keys, has_parent, legacy
from refunc.values.scalars import scalar

log = MLLogger("train")
log.info("a line")
asked = {"multiprocessing": 0, "multiprocessing.process": 0, "asyncio": 0, "decimal": 0}
assert not sys.modules.keys() & asked, sys.modules.keys() & asked

def see(frame, event, argument):
    name = frame.f_globals.get("__name__")
    if name not in asked or frame.f_code.co_name != "<module>":
        return None
    if event == "line":
        asked[name] += 1
        assert not has_parent() and legacy() is None and current_task() is None
        given_keys(), scalar(object())
        log.info("a line")
    return see

sys.settrace(see)
for name in asked:
    __import__(name)
sys.settrace(None)
assert all(asked.values()), asked
"""


def test_what_is_asked_of_modules_has_an_answer_at_each_line_of_their_import(own_folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", AT_EACH_LINE], capture_output=True, text=True, timeout=60)

    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
