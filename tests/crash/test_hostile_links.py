"""Links in a run's folder: nothing is written through them."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from refunc.delivery.cursor import Cursor
from refunc.delivery.custody import save_cursor
from refunc.delivery.lock import DeliveryLock
from refunc.delivery.process import _LogFile
from refunc.logging import ExperimentTracker, MLLogger

pytestmark = [
    pytest.mark.crash,
    pytest.mark.extras,
    pytest.mark.timeout(3600),
    pytest.mark.usefixtures("clean_process"),
]


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
        run._run.writer._deleted = run._run.writer._state.file  # type: ignore[union-attr]  # the next batch begins a segment
        run.log_metrics({"n": 1})
        run.flush()
        cursor = Cursor(place, "probe", "probe")
        for write in (partial(save_cursor, cursor), DeliveryLock(place, "probe").take):
            if what == "delivery":
                with pytest.raises(OSError, match="symbolic links"):
                    write()
        (place / what).unlink()

    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("name", ["probe.lock", "probe.json", "process.log", "probe.dead.jsonl"])
@pytest.mark.parametrize("exists", [True, False])
def test_nothing_is_written_through_a_link_beside_a_cursor(name: str, exists: bool, own_folder: Path) -> None:
    from refunc.outlets.opening import no_links

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
        save_cursor(Cursor(own_folder / "run", "probe", "probe"))
        assert not (delivery / name).is_symlink()
    else:
        with pytest.raises(OSError, match="symbolic links"):
            writes[name]()

    assert victim.exists() == exists
    assert not exists or victim.read_text() == "mine"
