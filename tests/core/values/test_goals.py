"""Which value of a metric is the best: one convention, and the goal given to `define_metric` before it."""

import re
from pathlib import Path

import pytest

from refunc.values import goals
from refunc.values.definitions import Definitions
from refunc.values.goals import goal_of, guessed_goal

PAGE = Path(__file__).parents[3] / "docs/reference/runs.md"


@pytest.mark.parametrize(
    ("name", "goal"),
    [("Val_Loss", "min"), ("test/f1-macro", "max"), ("val/aucpr", "max"), ("test/logloss/mean", "min"),
     ("test/logloss/std", None), ("glossary", None), ("lr", None), ("", None)],
)  # fmt: skip
def test_a_word_of_the_name_says_it(name: str, goal: str | None) -> None:
    assert guessed_goal(name) == goal


def test_what_was_defined_counts_before_the_name() -> None:
    defined: Definitions[str] = Definitions()
    defined.add("loss", "max")

    assert (goal_of("loss", defined), goal_of("val/loss", defined), goal_of("lr", defined)) == ("max", "min", None)


def test_the_page_has_all_words() -> None:
    section = PAGE.read_text("utf-8").partition("#### Which value is the best")[2].partition("\n### ")[0]
    lower, higher = (line for line in section.splitlines() if " with " in line and " has " in line and "`" in line)

    assert set(re.findall(r"`(\w+)`", lower)) == goals._LOWER
    assert set(re.findall(r"`(\w+)`", higher)) == goals._HIGHER
