"""The state that refunc keeps for a process, taken away between two tests in one: whatever a test has left."""

from __future__ import annotations

import sys


def forget() -> None:
    """End all runs, and forget loggers, waiting lines, warnings, settings and secrets."""
    import refunc.logging
    from refunc.logging import current, named, setup, shared_loggers
    from refunc.logging import notices as report
    from refunc.logging.active import blocks
    from refunc.logging.active.loose_lines import loose_lines
    from refunc.logging.logfiles import shelf
    from refunc.values.secrets import given

    report._news.clear()
    named._delivering.clear()  # a run that ends without a record goes to all that are left
    shared_loggers._shared.clear()
    for run in reversed(list(current.open_runs())):
        current.finish(run, "completed")
    loose_lines.clear()
    current.last_ended = None
    blocks._left.set(None)
    blocks._left_here.__dict__.clear()
    current.stores.clear()
    report._said.clear()
    report._said_of_kind.clear()
    given._known = ()
    shelf.close_all()
    setup._capture_warnings(False)
    named._kept.clear()
    named._latest.clear()
    shared_loggers._settings.clear()
    for name in refunc.logging._DEFAULT_LOGGER:
        vars(refunc.logging).pop(name, None)


def end_delivery() -> None:
    """Have the next test start a delivery of its own: one works in the folder of its first test, which is deleted."""
    handover = sys.modules.get("refunc.delivery.handover")
    if handover is None:
        return
    ours, handover._handover = handover._handover, handover._Handover()
    ours.is_closed = True
    with ours.lock:
        for process in ours.processes:
            process.kill()
            process.let_go()
    for courier in ours.couriers.values():
        courier.stop(1.0)
