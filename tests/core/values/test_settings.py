"""Environment variables: one list of them, and one reading of the words for on and off."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from refunc.values import settings
from refunc.values.settings import OFF, ON, SETTINGS, on_or_off

ROOT = Path(__file__).parents[3]


@pytest.mark.once
def test_no_other_module_names_a_variable_to_read_it() -> None:
    """Texts for people name them; a string that is nothing but a name is one that is looked up."""
    named = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in ROOT.glob("refunc-*/src/**/*.py")
        if path != Path(settings.__file__)
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Constant) and re.fullmatch(r"REFUNC_[A-Z_]*[A-Z]", str(node.value))
    ]

    assert named == []


@pytest.mark.parametrize("word", [*ON, *OFF])
def test_the_words_for_on_and_off_are_read_in_any_case(word: str) -> None:
    assert on_or_off(f" {word.upper()} ") is (word in ON)


@pytest.mark.parametrize("name", ["REFUNC_QUIET", "REFUNC_REDACT"])
def test_a_switch_that_is_not_set_is_as_by_default_and_any_other_word_is_on(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    setting = SETTINGS[name]
    monkeypatch.delenv(name, raising=False)
    assert setting.is_on() is (setting.default == "on")

    for text, expected in [("", setting.default == "on"), (" ", setting.default == "on"), ("No", False), ("2", True)]:
        monkeypatch.setenv(name, text)
        assert setting.is_on() is expected


@pytest.mark.parametrize(
    ("name", "text", "counts_as"),
    [
        ("REFUNC_QUIET", "maybe", "on"),
        ("REFUNC_QUIET", "on", ""),
        ("REFUNC_MODE", "disable", "not set"),
        ("REFUNC_MODE", " Disabled", ""),
        ("REFUNC_DELIVERY", "threads", "not set"),
        ("REFUNC_EXIT_WAIT", "5 s", "not set"),
        ("REFUNC_EXIT_WAIT", "nan", "not set"),
        ("REFUNC_EXIT_WAIT", "2.5", ""),
        ("REFUNC_EXIT_WAIT", "", ""),
        ("REFUNC_DIR", "anywhere", ""),
    ],
)
def test_a_value_that_is_not_allowed_is_said_to_count_as_another(
    name: str, text: str, counts_as: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, text)

    assert SETTINGS[name].misread() == counts_as


@pytest.mark.parametrize(("text", "seconds"), [("2.5", 2.5), ("-1", 0.0), ("", None), ("soon", None), ("nan", None)])
def test_a_number_of_seconds_is_at_least_0(text: str, seconds: float | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REFUNC_EXIT_WAIT", text)

    assert settings.EXIT_WAIT.seconds() == seconds
