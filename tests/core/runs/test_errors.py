"""Errors of reading: one tree, all of it importable from `refunc.runs`."""

import re
from pathlib import Path

import pytest

from refunc import annotations, runs
from refunc.runs import errors

PAGE = Path(__file__).parents[3] / "docs/reference/reading.md"

TREE = {
    "RunFormatError": Exception,
    "RunNotFoundError": LookupError,
    "StrangeStoreError": PermissionError,
    "UnknownMetricError": KeyError,
    "PointNotFoundError": LookupError,
    "ExpressionError": ValueError,
    "PackageNeededError": ModuleNotFoundError,
}


@pytest.mark.parametrize(("name", "built_in"), TREE.items())
def test_every_error_of_reading_is_a_run_error_and_what_it_was_before(name: str, built_in: type[Exception]) -> None:
    error = getattr(runs, name)

    assert issubclass(error, runs.RunError)
    assert issubclass(error, built_in)


def test_the_tree_that_is_drawn_is_the_tree_that_is_there() -> None:
    drawn = re.findall(r"[├└]── (\w+)", errors.__doc__ or "")

    assert drawn == list(TREE) == [error.__name__ for error in runs.RunError.__subclasses__()]
    assert not any(error.__subclasses__() for error in runs.RunError.__subclasses__())


def test_every_error_that_the_page_names_can_be_imported_from_refunc_runs() -> None:
    named = set(re.findall(r"`(\w+Error)`", PAGE.read_text("utf-8"))) - {"LookupError", "KeyError"}
    built_in = {"ValueError", "TypeError", "OSError", "TimeoutError", "PermissionError", "ModuleNotFoundError"}

    assert named - built_in - set(annotations.__all__) == set(errors.__all__)
    assert set(errors.__all__) <= set(runs.__all__)


def test_too_many_open_files_are_no_error_of_a_run() -> None:
    assert not issubclass(runs.NoDescriptorError, (runs.RunError, OSError))
