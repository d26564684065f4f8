"""`wandb.log`: which step a row has, and how values that are no plain numbers are kept."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refunc.journal.record import Metrics
from refunc.runs import Run, open_store

pytestmark = pytest.mark.once

Stored = Callable[[], Run]


def points(run: Run, name: str) -> list[tuple[Any, float]]:
    series = run.metrics(name)
    return list(zip(series.steps, series.values, strict=True))


def test_calls_without_a_step_count_and_calls_of_one_step_belong_together(wandb: Any, stored: Stored) -> None:
    run = wandb.init(project="p")
    run.log({"loss": 1})
    run.log({"loss": 2}, commit=False)
    run.log({"acc": 0.5})
    run.log({"loss": 3}, step=10)
    run.log({"acc": 0.6}, step=10)
    run.log({"acc": 0.7})
    assert run.step == 11
    run.log({"loss": 4}, step=20, commit=True)
    assert run.step == 21
    run.finish()

    assert points(stored(), "loss") == [(0, 1), (1, 2), (10, 3), (20, 4)]
    assert points(stored(), "acc") == [(1, 0.5), (10, 0.6), (10, 0.7)]


def test_a_smaller_step_is_kept_and_does_not_set_the_count_back(wandb: Any, stored: Stored) -> None:
    """W&B drops such rows, with a warning."""
    wandb.init(project="p")
    wandb.log({"loss": 1}, step=100)
    wandb.log({"val": 2}, step=7)
    wandb.log({"val": 3}, step=8, commit=False)
    assert wandb.run.step == 100
    wandb.log({"loss": 4})
    wandb.finish()

    assert points(stored(), "val") == [(7, 2), (8, 3)]
    assert points(stored(), "loss") == [(100, 1), (100, 4)]


class Row:
    """The rows of W&B, for names that are logged once in a row: a step, and the value logged at it."""

    def __init__(self) -> None:
        self.step = 0
        self.rows: dict[str, dict[int, float]] = {}

    def log(self, data: dict[str, float], step: int | None, commit: bool | None) -> None:
        if step is not None and step < self.step and commit is not False:
            place = step
        else:
            place = self.step = self.step if step is None else max(step, self.step)
            if step is not None and step < self.step:
                place = step
        for name, value in data.items():
            self.rows.setdefault(name, {})[place] = value
        if place == self.step and (commit or (commit is None and step is None)):
            self.step += 1


Calls = st.lists(
    st.tuples(
        st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), min_size=1),
        st.one_of(st.none(), st.integers(0, 12)),
        st.sampled_from([None, True, False]),
    ),
    max_size=12,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(calls=Calls)
def test_every_order_of_calls_gives_the_rows_that_wandb_gives(calls: list[Any], wandb: Any) -> None:
    """But for smaller steps, which W&B drops: the last value of each name at each step is the model's."""
    model = Row()
    run = wandb.init(project="p", reinit="finish_previous")
    for data, step, commit in calls:
        run.log(data, step=step, commit=commit)
        model.log(data, step, commit)
    assert run.step == model.step
    folder = Path(run._tracker.folder)
    run.finish()

    found: dict[str, dict[int, float]] = {}
    for record in Run.open(folder).records():
        if isinstance(record, Metrics):
            for name, value in record.metrics.items():
                found.setdefault(name, {})[record.step] = value  # type: ignore[index, assignment]
    assert found == model.rows


def test_nested_names_are_joined_with_a_dot_as_wandb_shows_them(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        run.log({"train": {"loss": 0.5, "acc": {"top1": 0.9}}, "text": "said", "none": None, "exact": Decimal("0.5")})
        assert run.summary["train"] == {"loss": 0.5, "acc": {"top1": 0.9}}
        assert (run.summary["train.loss"], run.summary["train"]["acc"]["top1"], run.summary.text) == (0.5, 0.9, "said")
        looped: dict[str, Any] = {"a": 1}
        looped["again"] = looped
        run.log({"looped": looped})

    [row, *_] = [record for record in stored().records() if isinstance(record, Metrics)]
    assert row.metrics == {"train.loss": 0.5, "train.acc.top1": 0.9, "exact": 0.5}
    assert row.other == {"text": "said", "none": None}


def test_an_epoch_is_the_epoch_of_the_row_and_a_step_among_the_values_its_step(wandb: Any, stored: Stored) -> None:
    wandb.init(project="p")
    wandb.log({"epoch": 1, "loss": 0.5, "step": 700})
    wandb.log({"epoch": 1.5, "loss": 0.4}, step=800)
    wandb.log({"loss": 0.3, "step": 5}, step=900)
    wandb.log({"epoch": 2})
    assert (wandb.summary["epoch"], wandb.summary["step"], wandb.run.step) == (2, 5, 901)
    wandb.finish()

    rows = [record for record in stored().records() if isinstance(record, Metrics)]
    assert [(row.step, row.epoch) for row in rows] == [(700, 1), (800, 1.5), (900, None), (900, 2)]
    assert rows[2].metrics == {"loss": 0.3, "step_2": 5}


def test_the_epoch_as_an_axis_stays_until_there_is_another(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        run.define_metric("val/*", step_metric="epoch")
        for epoch in range(3):
            run.log({"epoch": epoch})
            run.log({"val/acc": epoch / 10})

    assert list(stored().metrics("val/acc").x) == [0, 1, 2]


def test_a_step_metric_is_the_axis(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        run.define_metric("train/global_step")
        run.define_metric("*", step_metric="train/global_step", step_sync=True)
        for step in range(0, 30, 10):
            run.log({"train/loss": 1.0, "train/global_step": step})
            run.log({"eval/loss": 2.0})

    assert list(stored().metrics("eval/loss").x) == [0, 10, 20]


@pytest.mark.parametrize("data", [None, "loss", 5, [1]])
def test_a_row_without_names_does_not_stop_the_training(data: Any, wandb: Any, caplog: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        run.log(data)
        run.log(data, commit=False)
        run.log({"loss": 1.0}, step="ten")
        run.log({})
        run.log({3: 4.0})

    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [line.partition(":")[0] for line in said].count("log") == 2, said
    assert stored().summary.last == {"loss": 1.0, "3": 4.0}


class Hostile(dict):  # type: ignore[type-arg]
    def items(self) -> Any:
        raise RuntimeError("no items")


class Undrawable:
    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


def test_values_whose_own_code_raises_do_not_stop_the_training(wandb: Any, stored: Stored) -> None:
    with wandb.init(project="p") as run:
        run.log(Hostile(loss=1))
        run.log({"odd": Undrawable(), "loss": 2})
        run.log({"inner": Hostile(loss=3), "loss": 4})

    assert stored().summary.last == {"loss": 2}


def test_rows_of_threads_have_steps_of_their_own(wandb: Any, stored: Stored) -> None:
    run = wandb.init(project="p")
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: run.log({"loss": number}), range(2_000)))
    run.finish()

    assert sorted(stored().metrics("loss").steps) == list(range(2_000))


def _in_child(run: Any) -> None:
    run.log({"child": 1.0}, step=5)
    run.finish()
    os._exit(0)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_child_logs_to_the_run_and_does_not_end_it(method: str, wandb: Any, stored: Stored) -> None:
    run = wandb.init(project="p", config={"lr": 1})
    run.log({"waits": 1.0}, commit=False)
    child = multiprocessing.get_context(method).Process(target=_in_child, args=(run,))
    child.start()
    child.join(60)
    assert (child.exitcode, stored().status) == (0, "running")
    run.finish()

    assert (points(stored(), "child"), points(stored(), "waits")) == ([(5, 1)], [(0, 1)])


def test_a_row_is_in_the_file_of_a_run_that_is_killed(finished: Any, own_folder: Path) -> None:
    """W&B sends a row with a given step only when the next one begins."""
    script = """
    import os
    run = wandb.init(project="p")
    for step in range(3):
        run.log({"loss": step}, step=step)
    run._tracker.flush()
    os.kill(os.getpid(), 9)
    """
    assert finished(script)[0] == -9
    [run] = open_store(own_folder / "experiments")

    assert points(run, "loss") == [(0, 0), (1, 1), (2, 2)]
