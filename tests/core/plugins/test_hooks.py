"""Hooks: which objects count as integrations, and mistakes in plugins that show when they are given to a logger."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest

from refunc.logging import MLLogger, setup_logging
from refunc.plugins import ConfigurationError, Integration, hookimpl, hooks, option
from refunc.plugins.hooks import HOOKS, RUN_START, Hooks, hooks_of, plugged
from refunc.plugins.testing import sample_records

ROOT = Path(__file__).parents[3]


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
    assert {name: hook.arguments for name, hook in HOOKS.items()} == {
        "on_run_start": ("run",),
        "on_hyperparams": ("run", "record"),
        "on_tags": ("run", "record"),
        "on_metrics": ("run", "records"),
        "on_log": ("run", "records"),
        "on_artifact": ("run", "record"),
        "on_run_end": ("run", "record"),
    }


def test_the_specifications_are_those_of_the_table() -> None:
    specified = {name: inspect.signature(value) for name, value in vars(Hooks).items() if hasattr(value, "refunc_spec")}

    assert {name: tuple(each.parameters)[1:] for name, each in specified.items()} == {
        name: hook.arguments for name, hook in HOOKS.items()
    }
    for name, hook in HOOKS.items():
        kind = hook.record.__name__ if hook.record is not None else "RunInfo"
        last = list(specified[name].parameters.values())[-1]
        assert last.annotation == (f"Sequence[{kind}]" if hook.many else kind)


@pytest.mark.once
def test_a_hook_is_named_by_the_table_alone() -> None:
    """Whatever else is done for each hook reads the table, so that a new hook is one line there."""
    found = [path for folder in ROOT.glob("refunc-*/src") for path in folder.rglob("*.py")]
    sources = [path for path in found if "frameworks" not in path.parts]  # where `on_log` is transformers' name
    table = Path(hooks.__file__)

    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sources
        if path != table
        for node in ast.walk(ast.parse(path.read_bytes()))
        if (isinstance(node, ast.Constant) and node.value in HOOKS)
        or (isinstance(node, ast.Attribute) and node.attr in HOOKS)
    ]
    assert table in sources
    assert named == []


def test_the_samples_of_the_test_kit_have_every_hook_in_the_order_of_the_table() -> None:
    assert [RUN_START, *(name for name, _ in sample_records())] == list(HOOKS)
    for name, what in sample_records():
        assert {type(record) for record in (what if HOOKS[name].many else [what])} == {HOOKS[name].record}


def test_a_plain_class_is_enough() -> None:
    assert sorted(hooks_of(Good)) == ["on_metrics", "on_run_end"]
    plugged(Good()).on_metrics(run=None, records=())


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Misspelt, r"Misspelt.on_metric is marked as a hook, but there is no hook of this name. Hooks: on_run_start, "),
        (Defaults, r"Defaults.on_metrics must take run, records: these names, no defaults."),
        (Foreign, r"Foreign.on_metrics must take run, records: these names, no defaults."),
    ],
)
def test_a_hook_that_is_none_is_a_mistake(kind: type, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        MLLogger("train").add_integration(kind())


@pytest.mark.parametrize("value", [5, None, object(), print, [object()]])
def test_what_is_no_integration_is_refused_with_what_one_is(value: Any) -> None:
    logger = MLLogger("train")

    with pytest.raises(
        TypeError, match=r"is not an integration. An integration is an object with at least one method that is marked"
    ):
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


class Unmarked:
    @hookimpl
    def on_run_end(self, record: Any) -> None:
        """Be a hook."""

    def on_metrics(self, run: Any, records: Any) -> None:
        """Have a hook's name without its mark, which a decorator that was forgotten leaves behind."""


class Asynchronous:
    @hookimpl
    async def on_metrics(self, run: Any, records: Any) -> None:
        """Never run: calling it makes a coroutine."""


class Generating:
    @hookimpl
    def on_metrics(self, run: Any, records: Any) -> Any:
        yield from records


class Static:
    @staticmethod
    def on_metrics(run: Any, records: Any) -> None:
        """Have no self."""


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Unmarked, r"Unmarked\.on_metrics has the name of a hook but is not marked\. Put @hookimpl above it"),
        (Asynchronous, r"Asynchronous\.on_metrics is async .* A hook is a plain method"),
        (Generating, r"Generating\.on_metrics is async or a generator"),
        (Static, r"Static\.on_metrics has the name of a hook but is not marked"),
    ],
)
def test_a_hook_that_would_lose_its_records_is_refused_when_it_is_given(kind: type, text: str) -> None:
    with pytest.raises(TypeError, match=text):
        MLLogger("hooks").add_integration(kind())


@pytest.mark.parametrize(
    "add",
    [
        lambda logger: logger.add_integration("mlflow"),
        lambda logger: logger.add_integrations(["mlflow", "slack"]),
    ],
)
def test_a_plugins_name_is_answered_with_the_call_that_takes_it(add: Any) -> None:
    with pytest.raises(TypeError, match=r"'mlflow' is a string\. Pass .*MLflowIntegration\(\.\.\.\)"):
        add(MLLogger("hooks"))


def test_integrations_by_name_are_a_mapping() -> None:
    with pytest.raises(ConfigurationError, match=r"\['slack'\] is not a mapping\. .*\{\"slack\": \{"):
        setup_logging(integrations=["slack"])  # type: ignore[arg-type]


def test_an_option_without_a_type_is_refused_where_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match=r"Loose\.port has no type annotation\. Add one"):

        class Loose(Integration):
            name_of_it: str = option(default="x")
            port = option(default=1)
