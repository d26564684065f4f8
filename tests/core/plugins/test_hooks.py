"""Hooks: what counts as an integration, and mistakes in plugins that show when they are given to a logger."""

from __future__ import annotations

from typing import Any

import pytest

from refunc.logging import MLLogger
from refunc.plugins import Integration, hookimpl, option
from refunc.plugins.hooks import HOOKS, hooks_of, plugged


class Good:
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> None:
        """Take metrics."""

    @hookimpl
    def on_run_end(self, record: Any) -> None:
        """Take the end, without the run: any subset of the arguments will do."""


class Misspelt:
    @hookimpl
    def on_metric(self, run: Any, records: Any) -> None:
        """Be marked as a hook that there is not."""


class Defaults:
    @hookimpl
    def on_metrics(self, run: Any, records: Any = ()) -> None:
        """Have a default, of which pluggy's versions make different things."""


class Foreign:
    @hookimpl
    def on_metrics(self, run: Any, step: Any) -> None:
        """Ask for an argument that the hook does not give."""


def test_the_hooks_are_the_contract() -> None:
    assert HOOKS == {
        "on_run_start": ("run",),
        "on_hyperparams": ("run", "record"),
        "on_tags": ("run", "record"),
        "on_metrics": ("run", "records"),
        "on_log": ("run", "records"),
        "on_artifact": ("run", "record"),
        "on_run_end": ("run", "record"),
    }


def test_a_plain_class_is_enough() -> None:
    assert sorted(hooks_of(Good)) == ["on_metrics", "on_run_end"]
    plugged(Good()).on_metrics(run=None, records=())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Misspelt, r"Misspelt.on_metric is marked as a hook, but there is none. Hooks: on_run_start, "),
        (Defaults, r"Defaults.on_metrics takes run, records, by these names and without defaults."),
        (Foreign, r"Foreign.on_metrics takes run, records, by these names and without defaults."),
    ],
)
def test_a_hook_that_is_none_is_a_mistake(kind: type, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        MLLogger("train").add_integration(kind())


@pytest.mark.parametrize("value", ["mlflow", 5, None, object(), print, [object()]])
def test_what_is_no_integration_is_refused_with_what_one_is(value: Any) -> None:
    logger = MLLogger("train")

    with pytest.raises(TypeError, match=r"is no integration. One is an object with at least one method marked"):
        logger.add_integration(value)
    assert logger.integrations == ()


def test_a_class_in_place_of_an_instance_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Good is a class. Pass an instance: Good\(...\)."):
        MLLogger("train").add_integration(Good)


def test_reading_health_or_options_is_no_hook() -> None:
    class Observed(Integration):
        option_: str = option(default="x")

        @hookimpl
        def on_log(self, run: Any, records: Any) -> None:
            """Take lines."""

    assert hooks_of(Observed) == ("on_log",)
    assert plugged(Observed()).on_log is not None
    assert Observed().health.delivered == 0
