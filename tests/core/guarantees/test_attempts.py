"""A run that is cut off and continued: one run, and one value for each step."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from refunc.delivery.share import Share
from refunc.journal.alive import Life, life_of
from refunc.journal.ranks import rank_files, take_part
from refunc.journal.record import Metrics
from refunc.journal.roles import Role
from refunc.logging import ExperimentTracker, MLLogger, experiment_context
from refunc.logging.active import launched, resumed
from refunc.processes.launch import facts_of
from refunc.runs import Run, open_store

#: Trains to step 40 with a checkpoint each 10 steps, and is cut off at a step that the command names.
TRAINING = """
import json, os, sys
from refunc.logging import MLLogger, experiment_context
stop, attempt = int(sys.argv[1]), float(sys.argv[2])
state = json.load(open("checkpoint.json")) if os.path.exists("checkpoint.json") else None
with experiment_context("e", resume=state or "auto", logger=MLLogger("quiet", "CRITICAL")) as run:
    for step in range(state["step"] + 1 if state else 0, 40):
        run.log_metrics({"loss": attempt}, step=step)
        if step % 10 == 9:
            run.flush()
            with open("draft.json", "w") as file: json.dump(run.state_dict(), file)
            os.replace("draft.json", "checkpoint.json")
        if step == stop: run.flush(); os.kill(os.getpid(), 9)
"""


def trained_until(stop: int, attempt: int) -> int:
    command = [sys.executable, "-c", TRAINING, str(stop), str(attempt)]
    return subprocess.run(command, check=False).returncode


def only_run() -> Run:
    [run] = open_store()
    return run


def test_a_training_that_is_killed_again_and_again_is_one_run_with_one_value_a_step(own_folder: Path) -> None:
    """By chance; at each step the last attempt that passed it counts."""
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    expected: dict[int, float] = {}
    saved, attempts, total = -1, 0, 0
    while saved < 39:
        attempts += 1
        stop = chance.randrange(saved + 1, 45)
        assert trained_until(stop, attempts) == (0 if stop > 39 else -9)
        passed = range(saved + 1, min(stop, 39) + 1)
        total += len(passed)
        expected = {step: value for step, value in expected.items() if step <= saved}
        expected |= dict.fromkeys(passed, float(attempts))
        saved = max(saved, (min(stop, 39) + 1) // 10 * 10 - 1)

    run = only_run()
    curve = run.metrics("loss")
    assert dict(zip(curve.steps, curve.values, strict=True)) == expected, seed
    assert len(curve) == 40, seed
    assert len(run.metrics("loss", attempts="all")) == total, seed
    assert run.attempt == attempts
    assert run.status == ("completed" if stop > 39 else "crashed")
    assert run.summary.metrics["loss"].count == 40
    assert run.summary.metrics["loss"].last == expected[39]


@pytest.fixture
def cut_off(own_folder: Path) -> Run:
    """A run that was killed at step 14; its checkpoint is of step 9."""
    assert trained_until(14, 1) == -9
    return only_run()


def quiet() -> MLLogger:
    return MLLogger("quiet", "CRITICAL")


@pytest.mark.parametrize("by", ["id", "folder", "run", "state", "name", "True", "auto"])
def test_each_way_to_name_it_goes_on_with_it(by: str, cut_off: Run) -> None:
    state = json.loads(Path("checkpoint.json").read_text())
    ways = {"id": cut_off.run_id, "folder": cut_off.folder, "run": cut_off, "state": state, "name": "e"}
    ways |= {"True": True, "auto": "auto"}  # type: ignore[dict-item]
    with experiment_context("e", resume=ways[by], logger=quiet()) as run:
        assert run.run_id == cut_off.run_id
        run.log_metrics({"loss": 2.0}, step=10)

    again = only_run()
    assert (again.attempt, again.status) == (2, "completed")
    assert again.metrics("loss").values[10] == 2.0
    assert len(again.metrics("loss")) == (11 if by == "state" else 15), "only the state tells the step"


def test_a_step_given_with_it_hides_what_came_behind(cut_off: Run) -> None:
    with experiment_context("e", resume=True, resume_step=4, logger=quiet()):
        pass
    assert list(only_run().metrics("loss").steps) == [0, 1, 2, 3, 4]
    assert len(only_run().metrics("loss", attempts="all")) == 15


def test_a_state_that_is_loaded_into_the_open_run_goes_back(own_folder: Path) -> None:
    with experiment_context("e", logger=quiet()) as run:
        run.log_metrics({"loss": 1.0}, step=0)
        state = run.state_dict()
        run.log_metrics({"loss": 1.0}, step=1)
    with experiment_context("e", resume=run.run_id, logger=quiet()) as again:
        again.load_state_dict(state)
        again.log_metrics({"loss": 2.0}, step=3)
    assert json.loads(json.dumps(state)) == state
    assert list(only_run().metrics("loss").steps) == [0, 3]


def test_steps_that_begin_again_in_each_epoch_keep_the_epochs_before(own_folder: Path) -> None:
    with experiment_context("e", logger=quiet()) as run:
        for place in range(12):
            run.log_metrics({"loss": 1.0}, step=place % 4, epoch=place // 4)
            if place == 9:
                state = run.state_dict()
    with experiment_context("e", resume=state, logger=quiet()) as again:
        for place in range(10, 16):
            again.log_metrics({"loss": 2.0}, step=place % 4, epoch=place // 4)

    loss = only_run().metrics("loss")
    assert (state["step"], state["epoch"]) == (1, 2)
    assert list(zip(loss.epochs, loss.steps, strict=True)) == [divmod(place, 4) for place in range(16)]
    assert list(loss.values) == [1.0] * 10 + [2.0] * 6
    sent = Share(only_run().folder)
    sent.look()
    points = [record for record in only_run().records() if isinstance(record, Metrics)]
    assert [(point.epoch, point.step) for point in points if point not in sent.admitted(points)] == [(2, 2), (2, 3)]


def test_a_state_before_the_start_names_the_run(cut_off: Run) -> None:
    tracker = ExperimentTracker("e", logger=quiet())
    tracker.load_state_dict(json.loads(Path("checkpoint.json").read_text()))
    assert tracker.start_run() == cut_off.run_id
    tracker.end_run()
    assert list(only_run().metrics("loss").steps) == list(range(10))


def test_the_checkpoint_of_another_run_is_refused(cut_off: Run) -> None:
    state = json.loads(Path("checkpoint.json").read_text())
    with experiment_context("e", logger=quiet()) as run:
        with pytest.raises(ValueError, match=f"belongs to run {cut_off.run_id}, and run {run.run_id} is open") as found:
            run.load_state_dict(state)
        assert f"resume='{cut_off.run_id}'" in str(found.value)


def test_without_asking_a_second_start_is_a_second_run(cut_off: Run) -> None:
    with experiment_context("e", logger=quiet()):
        pass
    assert len(list(open_store())) == 2


def test_auto_passes_over_a_completed_run_and_true_does_not(own_folder: Path) -> None:
    with experiment_context("e", resume="auto", logger=quiet()) as first:
        pass
    with experiment_context("e", resume="auto", logger=quiet()) as second:
        pass
    assert first.run_id != second.run_id
    with experiment_context("e", resume=True, logger=quiet()) as third:
        pass
    assert third.run_id == second.run_id


def test_a_metric_of_one_attempt_is_read_from_the_index_too(own_folder: Path) -> None:
    for attempt in ("first", "second"):
        with experiment_context("e", resume="auto", logger=quiet()) as run:
            run.log_metrics({attempt: 1.0}, step=1)
            run.end_run("failed")
    for _ in range(2):  # the second time, the index has the points
        metrics = only_run().summary.metrics
        assert {name: (metric.count, metric.min) for name, metric in metrics.items()} == {
            "first": (1, 1.0),
            "second": (1, 1.0),
        }


def test_steps_that_are_counted_go_on_counting(own_folder: Path) -> None:
    for _ in range(3):
        with experiment_context("e", resume="auto", logger=quiet()) as run:
            run.log_metrics({"loss": 1.0})
            run.log_metrics({"loss": 1.0})
            run.end_run("failed")
    assert list(only_run().metrics("loss").steps) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("sesnet", "resume: .*sesnet.*"),
        (True, "experiment 'new' has no run in .* There are runs of 'e'"),
        ({"step": 3}, "a mapping without a `run_id`"),
        ({"run_id": "x", "step": "ten"}, "the step 'ten' is not a number"),
    ],
)
def test_a_run_that_is_not_there_is_said_at_once(wish: object, said: str, cut_off: Run) -> None:
    with pytest.raises(ValueError, match=said), experiment_context("new", resume=wish, logger=quiet()):
        pass
    with pytest.raises(TypeError, match="int does not name a run"), experiment_context("new", resume=3, logger=quiet()):
        pass
    assert only_run().attempt == 1


def test_a_run_of_another_experiment_is_said(cut_off: Run) -> None:
    with (
        pytest.raises(ValueError, match="belongs to experiment 'e', not to 'new'"),
        experiment_context("new", resume=cut_off.run_id, logger=quiet()),
    ):
        pass


def test_a_name_that_no_run_has_is_said_with_those_that_are_there(cut_off: Run) -> None:
    said = rf"experiment 'e' has no run named 'other' in .* It has the runs '{cut_off.run_name}'"
    with pytest.raises(ValueError, match=said), experiment_context("e", "other", resume=True, logger=quiet()):
        pass


def test_a_run_that_lives_is_refused(own_folder: Path) -> None:
    with experiment_context("e", logger=quiet()) as run:
        script = "from refunc.logging import *\nwith experiment_context('e', resume=True): pass"
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        assert done.returncode == 1
        assert f"run {run.run_id} is still open, by process {os.getpid()}" in done.stderr


@pytest.mark.parametrize("by", ["resume", "id"])
def test_a_rank_joins_the_attempt_that_another_one_begins_at_that_moment(
    by: str, cut_off: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rank 0 comes between rank 1's look at the rank files and its question whether the run is still open."""
    if by == "id":
        environ = {**os.environ, "REFUNC_RUN_ID": "night-7"}
        script = "import os\nfrom refunc.logging import *\nwith experiment_context('e') as run: os._exit(1)"
        subprocess.run([sys.executable, "-c", script], env=environ, capture_output=True, check=False)
        monkeypatch.setenv("REFUNC_RUN_ID", "night-7")
    for name, value in {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    folder = Path("experiments/night-7") if by == "id" else cut_off.folder
    held: list[int] = []

    def meanwhile(folder: Path) -> Life:
        place = launched.launch_here()
        assert place is not None
        if not held:
            held.append(take_part(folder, Role(2, 0), facts_of(place) | launched.facts_here()))
        return life_of(folder)

    monkeypatch.setattr(launched, "life_of", meanwhile)
    monkeypatch.setattr(resumed, "life_of", meanwhile)
    with experiment_context("e", resume=cut_off.run_id if by == "resume" else None, logger=quiet()) as run:
        assert run.folder == folder.absolute()
    os.close(held[0])

    assert [(file.role.attempt, file.role.rank) for file in rank_files(folder)][-2:] == [(2, 0), (2, 1)]


def test_an_id_that_the_user_gives_is_the_run_of_each_start(own_folder: Path) -> None:
    script = (
        "import os, sys\nfrom refunc.logging import *\nwith experiment_context('e') as run:\n"
        " run.log_metrics({'loss': 1.0}); run.flush()\n if sys.argv[1] == 'die': os._exit(1)"
    )
    environ = {**os.environ, "REFUNC_RUN_ID": "night-7"}
    for how in ("die", "die", "live"):
        subprocess.run([sys.executable, "-c", script, how], env=environ, capture_output=True, check=False)

    run = only_run()
    assert (run.run_id, run.folder.name, run.attempt, run.status) == ("night-7", "night-7", 3, "completed")
    assert list(run.metrics("loss").steps) == [0, 1, 2]

    subprocess.run([sys.executable, "-c", script, "live"], env=environ, capture_output=True, check=True)
    assert len(list(open_store())) == 2, "a completed run is continued only where resume= says so"


def test_an_id_in_the_script_is_the_run_of_each_start(own_folder: Path) -> None:
    script = (
        "import os\nfrom refunc.logging import *\nwith experiment_context('e', run_id='night-7') as run:\n"
        " run.log_metrics({'loss': 1.0}); run.flush(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", script], check=False)
    tracker = ExperimentTracker("e", run_id="night-7", logger=quiet())
    assert (tracker.start_run(), tracker.start_run()) == ("night-7", "night-7")
    tracker.log_metrics({"loss": 2.0})
    tracker.end_run()

    run = only_run()
    assert (run.run_id, run.attempt, run.status, list(run.metrics("loss").values)) == (
        "night-7",
        2,
        "completed",
        [1, 2],
    )
    tracker.start_run()
    tracker.end_run()
    assert tracker.run_id != "night-7", "a tracker that is started again has another run"


def test_an_id_in_the_script_is_checked(own_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"run_id: '\.\./up' cannot be a run's id"):
        ExperimentTracker("e", run_id="../up")
    with pytest.raises(ValueError, match="not both"):
        ExperimentTracker("e", run_id="a", resume=True)
    assert not Path("experiments").exists()


@pytest.mark.parametrize("resume", [None, "auto"])
def test_a_requeued_job_takes_over_while_its_first_attempt_still_ends(resume: str | None, own_folder: Path) -> None:
    script = f"""
import os, sys, time
from refunc.logging import experiment_context
with experiment_context("e", resume={resume!r}) as run:
    run.log_metrics({{"loss": float(os.environ["SLURM_RESTART_COUNT"])}}, step=0); run.flush()
    print("there", flush=True)
    sys.stdin.readline()
    run.log_metrics({{"loss": 9.0}}, step=1)
"""
    environ = {**os.environ, "SLURM_JOB_ID": "812"}
    processes = []
    for restart in ("0", "1"):
        command = [sys.executable, "-c", script]
        process = subprocess.Popen(
            command, env={**environ, "SLURM_RESTART_COUNT": restart}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == "there\n"
        processes.append(process)
    for process in processes:
        process.communicate("\n", timeout=60)

    run = only_run()
    assert (run.attempt, run.status) == (2, "completed")
    assert list(run.metrics("loss").values) == [1.0, 9.0]
