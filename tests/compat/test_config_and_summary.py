"""`wandb.config` and `wandb.summary`: the values they take and return, and those that the run has."""

from __future__ import annotations

import argparse
import copy
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import attrs
import pytest

from refunc.compat.wandb.problems import ConfigError
from refunc.runs import Run

pytestmark = pytest.mark.once

Stored = Callable[[], Run]


@dataclass
class Options:
    lr: float = 0.1
    layers: list[int] = field(default_factory=lambda: [1, 2])


@attrs.frozen
class Frozen:
    lr: float = 0.1
    layers: tuple[int, ...] = (1, 2)


class Flags:
    """As absl's: iterable and indexed, but with flags for values."""

    def flag_values_dict(self) -> dict[str, Any]:
        return {"lr": 0.1, "layers": [1, 2]}


class Model:
    def model_dump(self) -> dict[str, Any]:
        return {"lr": 0.1, "layers": [1, 2]}


@pytest.mark.parametrize(
    "given",
    [
        {"lr": 0.1, "layers": [1, 2]},
        argparse.Namespace(lr=0.1, layers=[1, 2]),
        Options(),
        Frozen(),
        Flags(),
        Model(),
        "config.json",
        "config.yaml",
        Path("own.yaml"),
    ],
    ids=lambda given: str(given) if isinstance(given, (str, Path)) else type(given).__name__,
)
def test_settings_come_from_what_scripts_have(given: Any, wandb: Any, stored: Stored) -> None:
    Path("config.json").write_text('{"lr": 0.1, "layers": [1, 2]}')
    Path("config.yaml").write_text("lr: 0.1\nlayers:\n- 1\n- 2\n")
    Path("own.yaml").write_text("wandb_version: 1\nlr: {desc: null, value: 0.1}\nlayers: {value: [1, 2]}\n")
    if str(given).endswith(".yaml"):
        pytest.importorskip("yaml")
    with wandb.init(project="p", config=given) as run:
        assert (run.config.lr, list(run.config["layers"])) == (0.1, [1, 2])

    assert stored().params == {"lr": 0.1, "layers": [1, 2]}


def test_a_value_that_is_there_changes_only_if_that_is_allowed(wandb: Any, stored: Stored, caplog: Any) -> None:
    run = wandb.init(project="p", config={"lr": 0.1, "model": {"width": 8}}, config_exclude_keys=["secret"])
    config = wandb.config
    config.update({"lr": 0.1, "seed": 1})
    config.epochs = 3
    config["batch"] = 32
    config.setdefaults({"lr": 5, "late": True})
    for change in (lambda: setattr(config, "lr", 1), lambda: config.update({"other": 1, "lr": 1})):
        with pytest.raises(
            ConfigError, match=r"'lr' is 0.1, and would become 1. To change it, .*allow_val_change=True"
        ):
            change()
    assert "other" not in config
    config.update({"lr": 1}, allow_val_change=True)
    with pytest.raises(AttributeError, match="Did you mean 'epochs'"):
        _ = config.epoch
    with pytest.raises(KeyError):
        _ = config["epoch"]
    assert (config.get("epoch", 7), config.model["width"], "seed" in config, bool(config)) == (7, 8, True, True)
    expected = {"lr": 1, "model": {"width": 8}, "seed": 1, "epochs": 3, "batch": 32, "late": True}
    assert dict(config) == dict(config.items()) == {**config} == config.as_dict() == expected
    assert list(config) == config.keys() == list(expected)
    assert config.values() == list(expected.values())
    assert copy.deepcopy(config) == pickle.loads(pickle.dumps(config)) == json.loads(json.dumps(dict(config)))
    run.finish()

    assert stored().params == expected


def test_values_without_names_are_refused_before_a_run_is_opened(wandb: Any, own_folder: Path) -> None:
    for given, error in ((5, TypeError), ([1], TypeError), ("gone.yaml", ConfigError)):
        with pytest.raises(error):
            wandb.init(project="p", config=given)
    assert list(own_folder.iterdir()) == []


def test_chosen_settings_alone_are_kept(wandb: Any) -> None:
    given = {"lr": 1, "secret": 2, "seed": 3}
    with wandb.init(project="p", config=given, config_exclude_keys=["secret"]) as run:
        assert run.config.as_dict() == {"lr": 1, "seed": 3}
    with wandb.init(project="p", config=given, config_include_keys=["lr"]) as run:
        assert run.config.as_dict() == {"lr": 1}


def test_the_summary_has_last_values_and_what_is_assigned(wandb: Any, stored: Stored) -> None:
    run = wandb.init(project="p")
    for value in (3.0, 1.0, 2.0):
        run.log({"loss": value, "name": "adam"})
    run.summary["best"] = 0.9
    run.summary.update({"test": {"acc": 0.8, "f1": 0.7}, "verdict": "good"})
    run.summary.late = 4
    found = dict(run.summary)
    found.pop("_runtime")
    assert found == {
        "loss": 2.0, "name": "adam", "best": 0.9, "test": {"acc": 0.8, "f1": 0.7}, "verdict": "good", "late": 4
    }  # fmt: skip
    assert (wandb.summary["loss"], wandb.summary.best, wandb.summary.get("gone", 5)) == (2.0, 0.9, 5)
    assert ("best" in run.summary, "gone" in run.summary) == (True, False)
    with pytest.raises(KeyError):
        _ = run.summary["gone"]
    run.log({"best": 0.1})
    assert run.summary["best"] == 0.1
    run.summary["loss"] = 0.5
    assert run.summary["loss"] == 0.5
    run.finish()

    assert run.summary["test"]["f1"] == 0.7, "it can be read after the end"
    assert stored().results == {"best": 0.9, "test.acc": 0.8, "test.f1": 0.7, "verdict": "good", "late": 4, "loss": 0.5}


def test_the_summary_has_the_statistics_that_were_defined(wandb: Any, stored: Stored) -> None:
    run = wandb.init(project="p")
    run.define_metric("acc", summary="max")
    run.define_metric("loss/*", summary="min,mean")
    run.define_metric("best", summary="best", goal="maximize")
    run.define_metric("last", summary="last")
    run.define_metric("noise", summary="none")
    run.define_metric("plain", summary="copy")
    for value in (0.2, 0.9, 0.4):
        run.log({"acc": value, "loss/a": value, "best": value, "last": value, "noise": value, "plain": value})

    assert (run.summary["acc"], run.summary["acc"]["max"], run.summary["acc.max"]) == ({"max": 0.9}, 0.9, 0.9)
    assert run.summary["loss/a"] == {"min": 0.2, "mean": 0.5}
    assert (run.summary["best"], run.summary["last"], run.summary["plain"]) == ({"max": 0.9}, {"last": 0.4}, 0.4)
    assert "noise" not in run.summary
    assert set(run.summary) == {"acc", "loss/a", "best", "last", "plain", "_runtime"}
    run.finish()

    metrics = stored().summary.metrics
    assert [(metrics[name].summary, metrics[name].goal) for name in ("acc", "best", "noise")] == [
        ("max", None), ("max", "max"), ("none", None)
    ]  # fmt: skip


@pytest.mark.parametrize(
    "arguments", [{"name": ""}, {"name": "a*b"}, {"name": "a", "summary": "sum"}, {"name": "a", "goal": "up"}]
)
def test_definitions_that_wandb_does_not_have_either(arguments: dict[str, str], wandb: Any) -> None:
    with wandb.init(project="p") as run, pytest.raises(wandb.Error, match="define_metric: "):
        run.define_metric(**arguments)


def test_reading_the_summary_keeps_no_values_in_memory(wandb: Any) -> None:
    """A tensor that were kept would hold the graph that it comes from."""

    class Tensor:
        alive = 0

        def __init__(self) -> None:
            Tensor.alive += 1

        def __del__(self) -> None:
            Tensor.alive -= 1

        def __float__(self) -> float:
            return 0.5

        def item(self) -> float:
            return 0.5

        shape = ()
        dtype = "float32"

    with wandb.init(project="p") as run:
        for _ in range(50):
            run.log({"loss": Tensor()})
        assert "loss" in run.summary
        run._tracker.flush()
        assert Tensor.alive <= 1
