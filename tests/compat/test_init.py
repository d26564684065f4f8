"""`wandb.init`: which run it opens, which one it goes on with, and how a run ends."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from refunc.runs import Run, open_store

pytestmark = pytest.mark.once

Stored = Callable[[], Run]


def test_facts_of_a_run(wandb: Any, stored: Stored) -> None:
    run = wandb.init(
        "team", "digits", name="first", notes="why", tags=["a", "b"], group="g", job_type="train", config={"lr": 0.1}
    )
    assert wandb.run is run
    assert (run.name, run.project, run.entity, run.group, run.job_type) == ("first", "digits", "team", "g", "train")
    assert (run.notes, run.tags, run.url, run.step, run.resumed, run.offline) == (
        "why",
        ("a", "b"),
        None,
        0,
        False,
        True,
    )
    assert (run.path, run.disabled, run.sweep_id) == (f"digits/{run.id}", False, None)
    run.tags += ("c",)
    run.notes, run.name = "because", "renamed"
    wandb.finish()
    wandb.finish()

    assert wandb.run is None
    kept = stored()
    assert (kept.experiment_name, kept.run_name, kept.run_id, kept.status) == ("digits", "first", run.id, "completed")
    tags = {"group": "g", "job_type": "train", "notes": "because", "name": "renamed", "a": "", "b": "", "c": ""}
    assert (kept.tags, kept.params) == (tags, {"lr": 0.1})


def test_a_run_without_a_name_is_called_by_its_id(wandb: Any, stored: Stored) -> None:
    """Code makes folders of it, and W&B's runs online always have one."""
    run = wandb.init()
    assert (run.name, run.project) == (run.id, "uncategorized")
    run.finish()
    assert stored().experiment_name == "uncategorized"


def test_variables_are_taken_where_no_argument_is(
    wandb: Any, stored: Stored, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    values = {"PROJECT": "p", "NAME": "n", "RUN_ID": "an-id", "RUN_GROUP": "g", "JOB_TYPE": "j", "TAGS": "a, b"}
    for name, value in {**values, "NOTES": "why", "DIR": str(tmp_path / "elsewhere"), "ENTITY": "e"}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    run = wandb.init(name="argument", settings=wandb.Settings(run_group="setting", anything=1))
    assert (run.project, run.name, run.id, run.group, run.entity) == ("p", "argument", "an-id", "setting", "e")
    assert (run.tags, run.job_type, run.notes) == (("a", "b"), "j", "why")
    run.finish()

    [kept] = open_store(tmp_path / "elsewhere" / "experiments")
    assert kept.run_id == "an-id"


def test_the_store_of_refunc_comes_before_the_folder_for_files_of_wandb(
    wandb: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REFUNC_DIR", "mine")
    wandb.init(dir="theirs").finish()

    assert (os.path.exists("theirs"), len(list(open_store("mine")))) == (False, 1)


@pytest.mark.parametrize(
    "how", [{"mode": "disabled"}, {"settings": {"mode": "disabled"}}, "WANDB_MODE", "WANDB_DISABLED"]
)
def test_a_disabled_run_takes_every_call_and_writes_nothing(
    how: Any, wandb: Any, own_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if isinstance(how, str):
        monkeypatch.setenv(how, "disabled" if how == "WANDB_MODE" else "true")
    with wandb.init(config={"lr": 1}, id="x", **(how if isinstance(how, dict) else {})) as run:
        run.log({"loss": 0.5, "page": wandb.Html("<b>")}, step=3)
        run.config.update({"late": 2})
        run.summary["best"] = 1
        run.define_metric("loss", summary="min")
        run.alert("title", "text")
        run.save("*.none")
        run.watch(None)
        artifact = run.log_artifact(wandb.Artifact("data", "dataset"))
        (Path(run.dir) / "file.txt").write_text("gone")
        assert (run.disabled, run.step, run.id, run.config.lr, run.summary["best"]) == (True, 3, "x", 1, 1)
        assert artifact.is_draft()

    assert list(own_folder.iterdir()) == []


def test_a_second_init_returns_the_open_run_or_ends_it(wandb: Any, caplog: Any) -> None:
    first = wandb.init(project="p", name="first")
    assert wandb.init(project="q", config={"lr": 1}) is first
    assert "is open, and is returned" in caplog.text
    second = wandb.init(project="p", name="second", reinit=True)
    beside = wandb.init(project="p", name="second", reinit="create_new")
    assert wandb.run is second
    beside.log({"loss": 1})
    second.log({"loss": 2})
    beside.finish()
    assert wandb.run is second
    wandb.finish()

    found = [(run.run_name, run.status, run.summary.last.get("loss")) for run in open_store()]
    assert found == [("first", "completed", None), ("second", "completed", 2), ("second", "completed", 1)]


def interrupted(wandb: Any, **options: Any) -> str:
    """Log three steps, and fail."""
    run = wandb.init(project="p", config={"lr": 0.1}, **options)
    for _ in range(3):
        run.log({"loss": 1.0})
    run.summary["best"] = 0.5
    run.finish(exit_code=1)
    return str(run.id)


def test_resume_goes_on_in_the_same_run(wandb: Any, stored: Stored) -> None:
    interrupted(wandb, id="night", resume="allow")
    with wandb.init(project="p", id="night", resume="allow", config={"lr": 0.2, "new": 1}) as run:
        assert (run.resumed, run.starting_step, run.step, run.id) == (True, 3, 3, "night")
        assert (run.config.as_dict(), run.summary["best"], run.summary["loss"]) == ({"lr": 0.2, "new": 1}, 0.5, 1.0)
        run.log({"loss": 2.0})

    kept = stored()
    assert (kept.attempt, kept.status, list(kept.metrics("loss").steps)) == (2, "completed", [0, 1, 2, 3])
    with wandb.init(project="p", id="night", resume="must") as run:
        assert run.step == 4
    assert stored().attempt == 3


def test_resume_from_a_step_drops_what_was_logged_beyond_it(wandb: Any, stored: Stored) -> None:
    run_id = interrupted(wandb)
    with wandb.init(project="p", resume_from=f"{run_id}?_step=1") as run:
        assert (run.id, run.step) == (run_id, 2)
        run.log({"loss": 9.0})

    assert list(stored().metrics("loss").values) == [1, 1, 9]


@pytest.mark.parametrize("resume", ["auto", True])
def test_auto_goes_on_with_the_newest_run_that_is_not_completed(resume: Any, wandb: Any, stored: Stored) -> None:
    run_id = interrupted(wandb)
    with wandb.init(project="p", resume=resume) as run:
        assert (run.id, run.step, run.config["lr"]) == (run_id, 3, 0.1)

    with wandb.init(project="p", resume=resume) as run:
        assert run.id != run_id


def test_an_id_that_was_used_loses_nothing(wandb: Any, caplog: Any) -> None:
    """W&B overwrites such a run."""
    interrupted(wandb, id="same")
    with wandb.init(project="p", id="same") as run:
        assert (run.id, run.step) == ("same", 3)
    with wandb.init(project="p", id="same") as run:
        assert run.id != "same"

    assert "run same is complete or open elsewhere" in caplog.text
    assert [(run.attempt, run.status) for run in open_store()] == [(2, "completed"), (1, "completed")]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"id": "gone", "resume": "must"}, "there is no run gone"),
        ({"resume": "must"}, "needs the id"),
        ({"id": "there", "resume": "never"}, "there is a run there"),
        ({"id": "there", "resume": "allow", "project": "other"}, "belongs to experiment 'p'"),
        ({"resume": "bogus"}, "Allowed: allow, must, never, auto"),
        ({"mode": "bogus"}, "Allowed: online, offline, disabled"),
        ({"reinit": "bogus"}, "Allowed: return_previous"),
        ({"id": "a/b"}, "cannot be a run's id"),
        ({"fork_from": "there?_step=1"}, "no forks"),
        ({"resume_from": "there"}, "_step=100"),
    ],
)
def test_a_run_that_cannot_be_meant_is_told_before_anything_is_written(
    options: dict[str, Any], said: str, wandb: Any
) -> None:
    if "there" in str(options.get("id")):
        wandb.init(project="p", id="there").finish()
    before = len(list(open_store()))
    wandb.init(project="p", mode="disabled") if "reinit" in options else None
    with pytest.raises(wandb.UsageError, match=said):
        wandb.init(**{"project": "p", **options})

    assert (issubclass(wandb.UsageError, wandb.Error), len(list(open_store()))) == (True, before)


@pytest.mark.parametrize(
    ("end", "status", "code"),
    [
        ("", "completed", 0),
        ("wandb.finish(exit_code=3)", "failed", 0),
        ("raise ValueError", "failed", 1),
        ("import sys; sys.exit(2)", "failed", 2),
        ("wandb.mark_preempting(); wandb.finish(exit_code=1)", "preempted", 0),
    ],
)
def test_a_script_without_finish_ends_as_the_script_does(
    end: str, status: str, code: int, finished: Any, own_folder: Path
) -> None:
    """Values and files that `commit=False` and `save` left for the end are kept too."""
    script = f"""
    import os
    run = wandb.init(project="p")
    wandb.log({{"waits": 1.0}}, commit=False)
    wandb.save("model.bin")
    open("model.bin", "w").write("weights")
    open(os.path.join(run.dir, "notes.txt"), "w").write("kept")
    {end}
    """
    assert finished(script)[0] == code
    [run] = open_store(own_folder / "experiments")

    assert (run.status, run.summary.last) == (status, {"waits": 1.0})
    assert sorted(artifact.name for artifact in run.artifacts) == ["model.bin", "notes.txt"]


@pytest.mark.parametrize("options", [{"id": "an-id", "resume": "allow"}, {"resume": "auto"}, {"id": "an-id"}])
def test_the_first_run_of_a_store_that_does_not_exist_yet(options: dict[str, Any], wandb: Any) -> None:
    with wandb.init(project="p", dir="new", **options) as run:
        run.log({"loss": 1})
    with wandb.init(mode="disabled", dir="newer") as run, pytest.raises(wandb.UsageError, match="has no artifact"):
        run.use_artifact("data:latest")

    assert (len(list(open_store("new/experiments"))), os.path.exists("newer")) == (1, False)


def test_ctrl_c_in_a_block_interrupts_the_run(wandb: Any, stored: Stored) -> None:
    with pytest.raises(KeyboardInterrupt), wandb.init(project="p"):
        raise KeyboardInterrupt

    assert (stored().status, wandb.run) == ("interrupted", None)


def test_calls_without_a_run_say_so(wandb: Any) -> None:
    for call in (
        lambda: wandb.log({"a": 1}),
        lambda: wandb.config.lr,
        lambda: wandb.config.update({}),
        lambda: setattr(wandb.config, "lr", 1),
        lambda: wandb.summary["a"],
        lambda: wandb.save("x"),
        lambda: wandb.alert("a", "b"),
        lambda: wandb.define_metric("a"),
    ):
        with pytest.raises(wandb.Error, match=r"no run is open. Call wandb.init\(\) first"):
            call()
    assert wandb.login(key="secret") is True


@pytest.mark.parametrize("quiet", [{"WANDB_SILENT": "true"}, {}])
def test_a_silent_run_shows_no_lines(quiet: dict[str, str], finished: Any) -> None:
    script = (
        'run = wandb.init(project="p"); run.log({"loss": 1}); run.alert("stop", "now", level=wandb.AlertLevel.ERROR)'
    )
    code, out, err = finished(script, **quiet)

    assert (code, out, "loss=1" in err, "started" in err) == (0, "", not quiet, not quiet)
    assert "stop: now" in err
