"""gevent replaces threads and locks of the standard library, before or after refunc has made its own."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.crash

#: Writes from greenlets and from threads of `threading`, and delivers; *when* says where gevent comes in between.
SCRIPT = """
import sys, warnings
sys.path.insert(0, "")
def patch(when):
    if when == sys.argv[1]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that ssl was imported before
            from gevent import monkey
            monkey.patch_all()

patch("first")
from refunc.logging import MLLogger, experiment_context
from probes import ProbeIntegration
patch("import")
log = MLLogger("train", "CRITICAL")
patch("logger")
log.info("a line")
patch("line")
log.add_integration(ProbeIntegration())
with experiment_context("exp", "run"):
    log.log_metrics({"before": 1.0})
    patch("run")
    import gevent, threading
    def work():
        for step in range(100):
            log.log_metrics({"loss": 1.0}, step=step); gevent.sleep(0)
    threads = [threading.Thread(target=work) for _ in range(3)]
    greenlets = [gevent.spawn(work) for _ in range(3)]
    for each in (*threads, *greenlets): each.start()
    for each in (*threads, *greenlets): each.join()
    assert log.flush()
    while any(health.waiting for health in log.health().values()): gevent.sleep(0.01)
"""


@pytest.mark.parametrize("when", ["first", "import", "logger", "line", "run"])
def test_patched_at_any_moment_nothing_hangs_and_all_is_written(
    when: str,
    finished: Callable[..., tuple[int, str, str]],
    require: Callable[[bool, str], None],
    probes: Any,
    calls: Callable[..., list[dict[str, Any]]],
    only_run: Callable[[], Any],
    journal: Any,
) -> None:
    require(importlib.util.find_spec("gevent") is not None, "pip install gevent")

    code, _, err = finished(SCRIPT, when, prelude="", deadline=60, REFUNC_EXIT_WAIT="30")

    assert code == 0, err
    records, _ = journal.read(only_run())
    assert len(journal.values(records, "loss")) == 600
    assert sum(len(call["steps"]) for call in calls("metrics")) == 601
    assert calls("end")
