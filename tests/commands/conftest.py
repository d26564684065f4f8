"""Fixtures that the tests of the command line share with those of the core."""

from __future__ import annotations

from tests.core.conftest import install, leaves_nothing, make_run, prelude, training_in_outage

__all__ = ["install", "leaves_nothing", "make_run", "prelude", "training_in_outage"]
