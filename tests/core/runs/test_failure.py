"""The line that names the error of a run, for tables and expressions."""

from __future__ import annotations

import traceback
from collections.abc import Callable

import pytest

from refunc.runs.failure import named_error


class _Field(Exception):
    def __str__(self) -> str:
        return "1 invalid field\nlr\n  should be a number\nFor further information read the manual"


def _raise(error: BaseException) -> None:
    raise error


def _cause() -> None:
    try:
        _raise(ValueError("the cause\nin two lines"))
    except ValueError as error:
        raise RuntimeError("the error\nin two lines") from error


def _worker() -> None:
    try:
        _raise(ValueError("no such file\nin two lines"))
    except ValueError:
        told = traceback.format_exc().replace("Traceback", "Original Traceback")
    raise RuntimeError(f"Caught ValueError in a worker.\n{told}")


@pytest.mark.parametrize(
    ("fail", "name"),
    [
        (lambda: _raise(ValueError("one line")), "ValueError: one line"),
        (lambda: _raise(RuntimeError("CUDA error\nset a variable\n\nto see more\n")), "RuntimeError: CUDA error"),
        (lambda: _raise(KeyError()), "KeyError"),
        (lambda: _raise(_Field()), f"{__name__}._Field: 1 invalid field"),
        (lambda: compile("f(", "x.py", "exec"), "SyntaxError: '(' was never closed"),
        (_cause, "RuntimeError: the error"),
        (_worker, "ValueError: no such file"),
    ],
)
def test_an_error_is_named_by_its_kind_and_the_first_line_of_its_message(fail: Callable[[], object], name: str) -> None:
    with pytest.raises(Exception) as caught:
        fail()
    error = "".join(traceback.format_exception(caught.type, caught.value, caught.tb))

    assert named_error(error) == name
    assert named_error(f"rank 3:\n{error}") == name


def test_a_group_of_errors_is_named_by_itself() -> None:
    error = """\
  + Exception Group Traceback (most recent call last):
  |   File "train.py", line 7, in <module>
  |     raise ExceptionGroup("two loaders", errors)
  | ExceptionGroup: two loaders (2 sub-exceptions)
  +-+---------------- 1 ----------------
    | Traceback (most recent call last):
    |   File "train.py", line 3, in load
    | ValueError: 1
    +---------------- 2 ----------------
    | TypeError: 2
    +------------------------------------
"""
    assert named_error(error) == "ExceptionGroup: two loaders (2 sub-exceptions)"


@pytest.mark.parametrize(
    ("error", "name"),
    [("", None), ("\n \n", None), ("SystemExit: 3\n", "SystemExit: 3"), ("stopped\n by hand", "by hand")],
)
def test_a_text_without_frames_is_named_by_its_last_line(error: str, name: str | None) -> None:
    assert named_error(error) == name
