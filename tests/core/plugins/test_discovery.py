"""Discovery: installed plugins, by real distributions' metadata in a folder on the search path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import refunc.logging
from refunc.logging import auto_configure_integrations, setup_logging
from refunc.plugins import ConfigurationError, discovery
from refunc.plugins.errors import IntegrationNotInstalledError


def found() -> dict[str, Any]:
    return {
        state.plugin.name: state
        for state in auto_configure_integrations().states
        if state.plugin.distribution.startswith("plug-")
    }


def test_each_plugin_ends_in_one_state_with_its_reason(install: Callable[..., None]) -> None:
    install("fine", "needy", "raiser", "quitter", "bomb", "empty")

    states = found()

    assert {name: state.state for name, state in states.items()} == {
        "fine": "active",
        "needy": "not configured",
        "raiser": "broken",
        "quitter": "broken",
        "bomb": "broken",
        "empty": "broken",
    }
    assert states["needy"].reason == "needy: key is not set. Pass NeedyIntegration(key=...) or set NEEDY_KEY."
    assert states["raiser"].reason == "RuntimeError: not today"
    assert states["quitter"].reason == "SystemExit: 3"
    assert states["bomb"].reason == "OSError: boom"


@pytest.mark.parametrize(
    ("value", "active"),
    [("fine", {"fine"}), ("-fine", {"needy"}), ("", set()), ("needy,fine", {"fine", "needy"}), (" fine , ", {"fine"})],
)
def test_the_environment_chooses(
    value: str, active: set[str], install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    install("fine", "needy")
    monkeypatch.setenv("NEEDY_KEY", "k")
    monkeypatch.setenv("REFUNC_PLUGINS", value)

    states = found()

    assert {name for name, state in states.items() if state.state == "active"} == active
    assert all(state.state == "blocked" for name, state in states.items() if name not in active)


def test_of_two_distributions_with_one_plugin_the_second_is_told(install: Callable[..., Any]) -> None:
    site = install("fine", "needy")
    entry_points = site / "plug_needy-1.0.dist-info" / "entry_points.txt"
    entry_points.write_text(entry_points.read_text().replace("needy = ", "fine = "))

    states = [state for state in auto_configure_integrations().states if state.plugin.name == "fine"]

    assert len(states) == 2
    [broken] = [state for state in states if state.state == "broken"]
    [owner] = [state.plugin.distribution for state in states if state is not broken]
    assert broken.reason == f"the name 'fine' is taken by {owner}. Uninstall one of the two"
    assert broken.plugin.distribution == {"plug-fine": "plug-needy", "plug-needy": "plug-fine"}[owner]


def test_a_third_partys_class_imports_from_where_ours_do(install: Callable[..., None]) -> None:
    install("fine")

    from refunc.logging import FineIntegration  # type: ignore[attr-defined]

    assert FineIntegration().level == 1


def test_one_of_ours_that_is_not_installed_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(discovery, "installed", dict)

    with pytest.raises(
        IntegrationNotInstalledError, match=r"pip install \./refunc-core \./refunc-commands \./refunc-mlflow"
    ):
        discovery.class_named("MLflowIntegration")
    with pytest.raises(ConfigurationError, match=r"mlflow: refunc-mlflow is not installed"):
        discovery.configure("mlflow", {})


def test_a_name_that_nobody_has_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'NobodyIntegration'"):
        refunc.logging.NobodyIntegration  # type: ignore[attr-defined]  # noqa: B018


def test_setup_logging_makes_integrations_by_name(install: Callable[..., None]) -> None:
    install("fine")

    logger = setup_logging(integrations={"fine": {"level": 7}})

    [integration] = logger.integrations
    assert integration.level == 7
    assert refunc.logging.get_logger("another").integrations == (integration,)
    setup_logging()
    assert logger.integrations == ()


@pytest.mark.parametrize(
    ("integrations", "text"),
    [
        ({"fyne": {}}, "integrations: 'fyne' is not installed. Installed: "),
        ({"fine": {"levl": 1}}, "fine: unknown option 'levl'. Did you mean level?"),
        ({"fine": {"level": "high"}}, "fine: level is 'high'. Expected: a whole number."),
        ({"raiser": {}}, "raiser: plug-raiser cannot be imported: RuntimeError('not today')."),
    ],
)
def test_a_mistake_in_setup_logging_raises_and_changes_nothing(
    integrations: dict[str, Any], text: str, install: Callable[..., None]
) -> None:
    install("fine", "raiser")
    before = refunc.logging.get_logger().__dict__.copy()

    with pytest.raises(ConfigurationError) as caught:
        setup_logging(level="DEBUG", integrations=integrations)

    assert str(caught.value).startswith(text)
    assert refunc.logging.get_logger()._level == before["_level"]


def test_importing_refunc_scans_nothing_and_imports_no_plugin() -> None:
    code = (
        "import sys, refunc.logging as l; l.MLLogger('x').info('y');"
        "late = {'importlib_metadata', 'pluggy', 'cattrs', 'mlflow', 'wandb', 'refunc_mlflow'};"
        "print(sorted(late & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)

    assert done.stdout == "[]\n", done.stderr
