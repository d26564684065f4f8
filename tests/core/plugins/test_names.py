"""How names are respelt: readable, the same everywhere, and never two as one."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.names import NAMES, any_name

from refunc.plugins import Spelling, text_of

pytestmark = pytest.mark.once

WORD = Spelling(r"[^\w.-]|^_", 40)
FILE = Spelling(r"[#/]", 60, is_file=True)


@pytest.mark.parametrize(
    ("spelling", "name", "begins", "ends"),
    [
        (WORD, "train.loss", "train.loss", "train.loss"),
        (WORD, "acc@5", "acc_5--", ""),
        (WORD, "", "x_--", ""),
        (WORD, "_step", "x_step--", ""),
        (WORD, "x" * 41, "x" * 30 + "--", ""),
        (WORD, "x--1a2b3c4d", "x--1a2b3c4d--", ""),
        (FILE, "fig #1.png", "fig _1--", ".png"),
        (FILE, "log#.tar.gz", "log_--", ".tar.gz"),
        (FILE, "検" * 30 + ".txt", "検" * 15 + "--", ".txt"),
        (FILE, ".#hidden", "._hidden--", ""),
    ],
)
def test_a_name_is_spelt_as_like_itself_as_it_can_be(spelling: Spelling, name: str, begins: str, ends: str) -> None:
    spelt = spelling(name)

    assert spelt.startswith(begins)
    assert spelt.endswith(ends)


@given(st.lists(any_name, unique=True, min_size=2, max_size=30))
@pytest.mark.parametrize("spelling", [WORD, FILE], ids=["word", "file"])
def test_names_are_taken_and_never_meet_however_often_they_are_respelt(spelling: Spelling, names: list[str]) -> None:
    once = [spelling(name) for name in names]
    again = [spelling(name) for name in {*names, *once}]

    assert len(set(once)) == len(names)
    assert len(set(again)) == len({*names, *once})
    assert not any(spelling._refused.search(name) for name in once)
    assert all(spelling._length(name) <= spelling._longest for name in once)


def test_each_process_spells_them_alike() -> None:
    code = f"from refunc.plugins import Spelling\nprint([Spelling('[^a-z]', 40)(name) for name in {NAMES[:100]!r}])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60).stdout

    assert said == f"{[Spelling('[^a-z]', 40)(name) for name in NAMES[:100]]!r}\n"


def test_a_text_is_one_in_every_encoding_and_no_longer_than_asked() -> None:
    assert text_of("caf\udce9\x00 🙂") == "caf\\udce9\\u0000 🙂"
    assert text_of("x" * 20, 10) == "x" * 9 + "…"
    assert text_of("x" * 10, 10) == "x" * 10
