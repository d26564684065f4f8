"""
The origin of a record: the wrappers that it passed through before.

A target must not get its own lines back, or it would log for ever. A record knows the wrappers that it passed through,
and so do lines that are logged in this thread while it is passed on (`Origin`); see `wrapper.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple


class Origin(NamedTuple):
    """
    The origin of a record: the wrappers it passed through, and how many lines in a row targets logged about each
    other.
    """

    wrappers: tuple[object, ...] = ()
    generation: int = 0


class _Here(threading.local):
    """The record that this thread is passing on."""

    origin = Origin()
    in_target = False

    def __init__(self) -> None:
        self.postponed: list[Callable[[], None]] = []


_here = _Here()


def origin() -> Origin:
    """Return the origin of records that this thread logs, or passes on, now."""
    here = _here.origin
    return here._replace(generation=here.generation + 1) if _here.in_target else here


def is_in_target() -> bool:
    """
    Whether a target is being called in this thread.

    It may hold locks, so records for other wrappers' targets have to wait: those may hold locks too, and log.
    """
    return _here.in_target


def passing_through(wrapper: object, before: Origin, call: Callable[[], object]) -> None:
    """Run *call*; lines that this thread logs in it count as passed through *wrapper* and those *before* it."""
    outer, was_in_target = _here.origin, _here.in_target
    try:
        _here.in_target = False
        _here.origin = Origin((*before.wrappers, wrapper), before.generation)
        call()
    finally:
        _here.origin, _here.in_target = outer, was_in_target


def in_target(call: Callable[[], object]) -> None:
    """Make a *call* of a target, and then the calls that were postponed."""
    was_in_target = _here.in_target
    try:
        _here.in_target = True
        call()
    finally:
        _here.in_target = was_in_target
        while _here.postponed and not was_in_target:
            _here.postponed.pop(0)()


def postpone(call: Callable[[], None]) -> None:
    """Make *call* once, after the target's call that this thread is in."""
    if call not in _here.postponed:
        _here.postponed.append(call)


def after_fork_in_child() -> None:
    """Forget the target's call that the parent was in."""
    _here.origin, _here.in_target, _here.postponed = Origin(), False, []
