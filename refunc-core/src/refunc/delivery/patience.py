"""How long the exit of a training waits for delivery, and its messages meanwhile."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from refunc.delivery.pipe import Attachment
from refunc.delivery.waiting import health_at, is_done_at, waits_for_others
from refunc.values import settings

#: Seconds that exit waits for acknowledgements; fewer if none has come yet, and in a notebook.
EXIT_WAIT, UNANSWERED_WAIT, NOTEBOOK_WAIT = 10.0, 2.0, 2.0
#: Seconds after which a waiting exit shows its reason.
SAY_AFTER = 1.0
#: PROC_PID_INIT_INO of Linux (include/linux/proc_ns.h).
_FIRST_NAMESPACE = 0xEFFFFFFC


def wait_for(attachments: Sequence[Attachment], tell: Callable[[str], None], meanwhile: Callable[[], None]) -> None:
    """
    Wait a bounded time until everything is delivered that can be expected to be.

    Args:
        tell: Shows a line with the integrations that are waited for.
        meanwhile: Called from time to time.
    """
    budget = _budget()
    started = time.monotonic()
    is_set = settings.EXIT_WAIT.seconds() is not None
    moved_at, last_taken = started, -1
    has_said = False
    while True:
        pending = _pending(attachments)
        elapsed = time.monotonic() - started
        taken = sum(attachment.cursor().delivered for attachment in attachments)
        if taken != last_taken:
            last_taken, moved_at = taken, time.monotonic()
        is_quiet = not is_set and time.monotonic() - moved_at >= UNANSWERED_WAIT
        if not pending or elapsed >= budget or is_quiet:
            return
        if elapsed >= SAY_AFTER and not has_said:
            has_said = True
            names = ", ".join(sorted({attachment.passport.name for attachment in pending}))
            tell(f"waiting for {names} to accept all records, up to {budget:.0f} s; Ctrl-C leaves it to `refunc sync`.")
        meanwhile()
        time.sleep(0.02)


def say_what_remains(
    attachments: Sequence[Attachment], tell: Callable[[str], None], goes_on: Callable[[Attachment], bool]
) -> None:
    """
    Show by *tell*, in one line, the records that are still to be delivered, if any, and how they will be.

    Args:
        goes_on: Whether a process that outlives this one delivers to it.
    """
    remaining = [(each, text) for each in attachments if (text := _remaining(each))]
    if remaining:
        further = _further(all(goes_on(each) for each, _ in remaining))
        tell(f"still to be delivered: {'; '.join(text for _, text in remaining)}. {further}")


def _further(goes_on: bool) -> str:
    """Return how the rest is delivered: the first process of a container ends all others when it ends."""
    if not goes_on:
        return "Run `refunc sync` to deliver it."
    if os.getpid() == 1:
        return (
            "Delivery ends with this process, the first of its container. Run `refunc sync` where the run is kept to "
            "finish it. REFUNC_EXIT_WAIT sets how long exit waits."
        )
    condition = " while this container runs" if _is_in_container() else ""
    return f"Delivery continues in the background{condition}; if it is interrupted, run `refunc sync`."


def _is_in_container() -> bool:
    """Whether this process is in another PID namespace than the machine's initial one, whose number is fixed."""
    try:
        return os.readlink("/proc/self/ns/pid") != f"pid:[{_FIRST_NAMESPACE}]"
    except OSError:  # not Linux, or no /proc
        return False


def _budget() -> float:
    seconds = settings.EXIT_WAIT.seconds()
    if seconds is not None:
        return seconds
    return NOTEBOOK_WAIT if "ipykernel" in sys.modules else EXIT_WAIT


def _pending(attachments: Sequence[Attachment]) -> list[Attachment]:
    """Return the attachments that are worth waiting for, without those that were given up."""
    cursors = [(each, each.cursor()) for each in attachments if each.folder.is_dir()]
    return [
        each
        for each, cursor in cursors
        if cursor.state != "quarantined" and not is_done_at(cursor) and not waits_for_others(cursor)
    ]


def _remaining(attachment: Attachment) -> str:
    health = health_at(attachment.cursor())
    why = f" ({health.last_error})" if health.last_error else ""
    records = "record" if health.waiting == 1 else "records"
    name = attachment.passport.target or attachment.passport.name
    return f"{name} {health.waiting:,} {records}{why}" if health.waiting else ""
