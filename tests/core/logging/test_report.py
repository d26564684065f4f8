"""Warnings that refunc gives once: once for each name, and not a million times for a million names."""

from __future__ import annotations

import pytest

from refunc.logging import ExperimentTracker, MLLogger
from refunc.logging import notices as module


@pytest.mark.usefixtures("own_folder")
def test_each_metric_that_is_no_number_is_warned_of_once_and_a_flood_ends(caplog: pytest.LogCaptureFixture) -> None:
    with ExperimentTracker("e", logger=MLLogger("quiet", "CRITICAL")) as run:
        for _ in range(3):
            run.log_metrics({"a": "text", "b": "text"})
        assert [line.split(":")[0] for line in caplog.messages if "is not a number" in line] == [
            "metric 'a'",
            "metric 'b'",
        ]

        for n in range(2 * module.MAX_SAID):
            run.log_metrics({f"m{n}": "text"})
        run.log_artifact("not there")

    said = [line for line in caplog.messages if "is not a number" in line]
    assert len(said) == module.MAX_SAID
    assert len(module._said) <= module.MAX_SAID + 5
    assert [line for line in caplog.messages if "further ones are not" in line]
    assert "was not stored" in caplog.messages[-1]  # another kind is not concerned
