"""Which folders of event files are a run: sessions of hyperparameters, `hparams.yaml`, and parts of a source."""

from __future__ import annotations

import os
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.commands.importing.crafted import event, events, field

from refunc.annotations import remove
from refunc.runs import Run, open_store
from refunc_commands.importing.transfer import reads_as_number

pytestmark = [pytest.mark.once, pytest.mark.extras]

MOMENT = 1_700_000_000.0


def value(tag: str, number: float) -> bytes:
    return field(1, tag) + b"\x15" + struct.pack("<f", number)


def of_hparams(tag: str, part: int, content: bytes) -> bytes:
    plugin = field(1, "hparams") + field(2, field(part, content))
    return field(1, tag) + field(9, field(1, plugin))


def session(lr: float, *, results: tuple[float, ...] = (0.5,), parts: tuple[int, ...] = (2, 3, 4)) -> bytes:
    """Return the events that `add_hparams` writes; each of *results* is one more value of one name."""
    contents = {2: b"", 3: field(1, field(1, "lr") + field(2, field(2, lr))), 4: field(1, 1)}
    values = [*(of_hparams("_hparams_", part, contents[part]) for part in parts)]
    values += [value("hparam/acc", number) for number in results]
    return b"".join(event(field(1, MOMENT + 100 + at) + field(5, field(1, each))) for at, each in enumerate(values))


def put(folder: str, data: bytes, name: str = "events.out.tfevents.1700000000.host.1.0") -> Path:
    path = Path(folder)
    path.mkdir(parents=True, exist_ok=True)
    (path / name).write_bytes(data)
    return path


def curve(start: float = MOMENT) -> bytes:
    return events(start, start + 1)


def runs() -> dict[str, Run]:
    return {run.run_name: run for run in open_store()}


def test_a_session_belongs_to_the_run_above(imported: Callable[..., Any]) -> None:
    put("logs/a", curve())
    put("logs/a/1700000100.5", session(0.1))
    put("logs/b", curve())

    result = imported("logs")

    assert (result.exit_code, result.said["is_whole"]) == (0, True)
    assert sorted(runs()) == ["a", "b"]
    run = runs()["a"]
    assert (run.params, run.results, run.status) == ({"lr": 0.1}, {"hparam/acc": 0.5}, "completed")
    assert (len(run.metrics("loss")), run.start_time) == (2, MOMENT)
    assert [each.run_name for each in open_store().find("params.lr < 0.2 and metrics.loss.count == 2")] == ["a"]


def test_a_session_is_known_with_the_run_that_it_belongs_to(imported: Callable[..., Any]) -> None:
    put("logs/a", curve())
    put("logs/a/hp", session(0.1))
    put("logs/alone/hp", session(0.1), "events.out.tfevents.1700000100.host.1.0")
    imported("logs")

    for part in ("logs/a/hp", "logs/a", "logs/alone", "logs/alone/hp"):
        said = imported(part).said
        assert ([*map(len, (said["imported"], said["known"]))]) == [0, 1], part
    shutil.copytree("logs/a", "elsewhere/b")
    assert len(imported("elsewhere/b/hp").said["known"]) == 1
    assert sorted(runs()) == ["a", "alone/hp"]


@pytest.mark.parametrize(
    ("first", "other"),
    [("tb/a", "metrics"), ("wandb/offline-run-20260101_000000-abc", "tb/a"), ("mlruns/1/m", "tb/a")],
)
def test_a_folder_with_files_of_several_trackers_is_not_imported_in_part(
    first: str, other: str, imported: Callable[..., Any]
) -> None:
    for folder in (first, other):
        if folder.startswith("tb"):
            put(folder, curve())
        elif folder == "metrics":
            put("lightning/version_0", b"epoch,step,loss\n0,0,0.5\n", "metrics.csv")
        elif folder.startswith("wandb"):
            put(folder, b"", "run-abc.wandb")
            put(f"{folder}/files", curve())  # of that run
        else:
            put(folder, b"run_id: m\n", "meta.yaml")
            put("mlruns/1", b"experiment_id: '1'\nname: e\n", "meta.yaml")

    result = imported(".")

    trackers = {"t": "tensorboard", "m": "mlflow", "w": "wandb"}
    assert (result.exit_code, "Choose one with --from" in result.stderr) == (2, True), result.stderr
    assert all(
        name in result.stderr for name in {trackers[first[0]], "lightning" if other == "metrics" else "tensorboard"}
    )
    assert ("those of mlflow are mlruns" in result.stderr) is first.startswith("mlruns")


def test_an_experiment_of_mlflow_is_a_part_of_its_folder(imported: Callable[..., Any]) -> None:
    pytest.importorskip("yaml")
    put("mlruns/1", b"experiment_id: '1'\nname: digits\n", "meta.yaml")
    put("mlruns/1/m", b"run_id: abc\nstart_time: 1700000000000\nstatus: 3\n", "meta.yaml")

    assert [run["id"] for run in imported("mlruns/1").said["imported"]] == ["abc"]
    assert runs()[next(iter(runs()))].experiment_name == "digits"
    assert [run["id"] for run in imported("mlruns").said["known"]] == ["abc"]
    alone = imported("mlruns/1/m")
    assert (alone.exit_code, "is one run of MLflow. Import the folder of its experiment, " in alone.stderr) == (2, True)


def test_the_same_session_twice_belongs_to_it_and_different_trials_do_not(imported: Callable[..., Any]) -> None:
    put("logs/again", curve())
    put("logs/again/1", session(0.1))
    put("logs/again/2", session(0.1, results=(0.7,)))
    put("logs/trials", b"")
    put("logs/trials/1", session(0.1))
    put("logs/trials/2", session(0.2))

    imported("logs")

    assert sorted(name for name in runs() if runs()[name].params) == ["again", "trials/1", "trials/2"]
    assert runs()["again"].results == {"hparam/acc": pytest.approx(0.7)}
    assert runs()["trials/2"].summary.last == {"hparam/acc": 0.5}


@pytest.mark.parametrize(
    "data",
    [session(0.1, results=(0.5, 0.6)), session(0.1, parts=(3, 4)), curve(), session(0.1) + b"damage" * 9],
    ids=["a curve", "as TensorFlow writes it", "no hyperparameters", "damaged at its end"],
)
def test_a_folder_with_anything_else_is_a_run_of_its_own(imported: Callable[..., Any], data: bytes) -> None:
    put("logs/a", curve())
    put("logs/a/b", data)
    imported("logs")
    assert sorted(runs()) == (["a"] if b"damage" in data else ["a", "a/b"])


def test_a_session_without_a_run_above_is_a_run(imported: Callable[..., Any]) -> None:
    put("logs/a/hp", session(0.1))
    imported("logs")
    assert runs()["a/hp"].params == {"lr": 0.1}


def test_hparams_yaml_belongs_to_the_event_files_beside_it(imported: Callable[..., Any]) -> None:
    pytest.importorskip("yaml")
    folder = put("lightning_logs/version_0", curve())
    (folder / "hparams.yaml").write_text("lr: 0.1\noptimizer:\n  name: adam\n  eps: '1e-8'\n")
    damaged = put("lightning_logs/version_1", curve())
    (damaged / "hparams.yaml").write_text("{")

    result = imported("lightning_logs")

    assert runs()["version_0"].params == {"lr": 0.1, "optimizer": {"name": "adam", "eps": "1e-8"}}
    assert result.said["numeric_texts"] == {"optimizer.eps": "1e-8"}
    assert result.exit_code == 1
    [said] = [run for run in result.said["imported"] if run["run_name"] == "version_1"]
    assert said["problems"][0].startswith("hparams.yaml was left out: not valid YAML")


@pytest.mark.parametrize("is_whole_first", [True, False])
def test_a_part_of_what_was_imported_is_recognised(imported: Callable[..., Any], is_whole_first: bool) -> None:
    put("tb/exp0/run_008", curve())
    put("tb/exp1/run_008", curve(MOMENT + 0.25))
    whole, part = ("tb", "tb/exp0/run_008") if is_whole_first else ("tb/exp0/run_008", "tb")

    first, second = imported(whole), imported(part)

    counts = [len(each.said["imported"]) for each in (first, second)]
    assert counts == ([2, 0] if is_whole_first else [1, 1])
    assert len(second.said["known"]) == 1
    assert len(open_store().runs()) == 2
    shutil.move("tb", "elsewhere")
    assert imported("elsewhere").said["imported"] == []
    assert len(imported("elsewhere/exp1", "--again").said["imported"]) == 1


def test_a_removed_run_is_recognised(imported: Callable[..., Any]) -> None:
    put("logs/a", curve())
    imported("logs")
    remove(runs()["a"])
    assert imported("logs").said["imported"] == []


def test_a_hostile_session_costs_only_itself(imported: Callable[..., Any]) -> None:
    put("logs/a", curve())
    put("logs/a/b", event(b"\xff" * 50) + session(0.1)[:30])
    os.symlink("/dev/zero", "logs/a/events.out.tfevents.2")
    imported("logs")
    assert runs()["a"].summary.last == {"loss": 0.5}


@pytest.mark.parametrize(
    ("text", "is_number"),
    [
        *[(text, True) for text in ("1e-3", "1E-2", ".5", "5.", "007", "+1", "-0.10", "1e+05")],
        *[(text, False) for text in ("", ".", "1e", "nan", "inf", "1_000", "0x10", "1 ", "v1", "1,5", "9" * 500, "١")],
        *[(other, False) for other in (1, 0.5, None, True, ["1"])],
    ],
)
def test_texts_that_read_as_numbers(text: object, is_number: bool) -> None:
    assert reads_as_number(text) is is_number
