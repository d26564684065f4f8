"""Values of the environment are secrets, wherever they stand."""

from __future__ import annotations

import os

import pytest

from refunc.values.masking import masked
from refunc.values.secrets import MASK, without_secrets
from refunc.values.secrets.environment import EnvironmentSecrets


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> EnvironmentSecrets:
    """The known secrets of the environment, as at the start of a process."""
    fresh = EnvironmentSecrets()
    monkeypatch.setattr("refunc.values.secrets.text.environment", fresh)
    return fresh


def test_a_value_of_the_environment_is_masked_wherever_it_stands(
    monkeypatch: pytest.MonkeyPatch, environment: EnvironmentSecrets
) -> None:
    monkeypatch.setenv("MY_SERVICE_PASSWORD", "plainword-of-mine")
    monkeypatch.setenv("MY_SERVICE_NAME", "another-plain-word")
    monkeypatch.setenv("PWD", "/srv/ada/project")
    assert without_secrets("in /srv/ada/project") == "in /srv/ada/project"
    assert without_secrets("said plainword-of-mine.") == "said ***."
    assert without_secrets("said another-plain-word.") == "said another-plain-word."
    assert masked({"note": "plainword-of-mine", "deep": [{"n": "a plainword-of-mine b"}]}) == {
        "note": MASK,
        "deep": [{"n": "a *** b"}],
    }


def test_a_variable_that_is_set_later_is_known_to_the_next_text(
    monkeypatch: pytest.MonkeyPatch, environment: EnvironmentSecrets
) -> None:
    text = "calling with word-of-a-dotenv"
    assert without_secrets(text) == text

    monkeypatch.setenv("SERVICE_TOKEN", "word-of-a-dotenv")

    assert without_secrets(text) == "calling with ***"


def test_a_variable_that_gets_another_value_is_known_a_batch_later(
    monkeypatch: pytest.MonkeyPatch, environment: EnvironmentSecrets
) -> None:
    now = [100.0]
    monkeypatch.setattr("refunc.values.secrets.environment.monotonic", lambda: now[0])
    monkeypatch.setenv("SERVICE_TOKEN", "the-first-of-its-values")
    assert without_secrets("the-first-of-its-values") == MASK
    monkeypatch.setenv("SERVICE_TOKEN", "the-second-of-its-values")

    now[0] += 0.06

    assert without_secrets("the-first-of-its-values, the-second-of-its-values") == "***, ***"


def test_a_variable_that_was_taken_away_stays_known(
    monkeypatch: pytest.MonkeyPatch, environment: EnvironmentSecrets
) -> None:
    monkeypatch.setenv("SERVICE_TOKEN", "taken-out-after-login")
    assert without_secrets("taken-out-after-login") == MASK

    monkeypatch.delenv("SERVICE_TOKEN")

    assert without_secrets("used taken-out-after-login") == "used ***"


def test_of_two_values_of_which_one_has_the_other_in_it_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, environment: EnvironmentSecrets
) -> None:
    monkeypatch.setenv("A_TOKEN", "long-word")
    monkeypatch.setenv("B_TOKEN", "long-word-and-more")

    assert without_secrets("with long-word-and-more.") == "with ***."


def test_the_environment_is_not_looked_through_for_each_text(
    monkeypatch: pytest.MonkeyPatch, environment: EnvironmentSecrets
) -> None:
    monkeypatch.setattr("refunc.values.secrets.environment.monotonic", lambda: 100.0)
    looks: list[str] = []
    monkeypatch.setattr(
        "refunc.values.secrets.environment.is_secret_of_environment", lambda name, value: looks.append(name)
    )
    for _ in range(1_000):
        without_secrets("a text of some length")

    assert 0 < len(looks) <= len(os.environ)
