"""How long the exit of a training waits until what was logged is delivered, and what it says meanwhile."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence

from refunc.delivery.pipe import Attachment

#: Seconds that exit waits for acknowledgements; less where none has come yet, and in a notebook.
EXIT_WAIT, UNANSWERED_WAIT, NOTEBOOK_WAIT = 10.0, 2.0, 2.0
#: Seconds after which a waiting exit says what it waits for.
SAY_AFTER = 1.0


def wait_for(attachments: Sequence[Attachment], tell: Callable[[str], None], meanwhile: Callable[[], None]) -> None:
    """
    Wait until all is delivered that is worth waiting for, a bounded time.

    Args:
        tell: Shows a line, which says what is waited for.
        meanwhile: Called now and then.
    """
    budget = _budget()
    started = time.monotonic()
    is_set = "REFUNC_EXIT_WAIT" in os.environ
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
            tell(
                f"waiting for {names} to take what was logged, up to {budget:.0f} s; Ctrl-C leaves it to `refunc sync`."
            )
        meanwhile()
        time.sleep(0.02)


def say_what_remains(attachments: Sequence[Attachment], tell: Callable[[str], None]) -> None:
    """Say by *tell*, in one line, what is still to be delivered, if anything is."""
    remaining = [text for attachment in attachments if (text := _remaining(attachment))]
    if remaining:
        tell(
            f"still to be delivered: {'; '.join(remaining)}. "
            "Delivery goes on in the background; `refunc sync` finishes it otherwise."
        )


def _budget() -> float:
    try:
        return max(0.0, float(os.environ["REFUNC_EXIT_WAIT"]))
    except (KeyError, ValueError):
        return NOTEBOOK_WAIT if "ipykernel" in sys.modules else EXIT_WAIT


def _pending(attachments: Sequence[Attachment]) -> list[Attachment]:
    """Return what is worth waiting for: not what was left alone for good."""
    cursors = [(each, each.cursor()) for each in attachments if each.folder.is_dir()]
    return [each for each, cursor in cursors if cursor.state != "quarantined" and not cursor.is_done]


def _remaining(attachment: Attachment) -> str:
    health = attachment.cursor().health()
    why = f" ({health.last_error})" if health.last_error else ""
    records = "record" if health.waiting == 1 else "records"
    name = attachment.passport.target or attachment.passport.name
    return f"{name} {health.waiting:,} {records}{why}" if health.waiting else ""
