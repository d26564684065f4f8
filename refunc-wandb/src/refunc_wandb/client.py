"""W&B's client: its settings, its logins, the folders it leaves, and the process of its own that keeps runs open."""

from __future__ import annotations

import logging
import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

own_log = logging.getLogger("refunc.wandb")

#: Seconds that starting and finishing a W&B run may take before delivery decides what to do instead. The client's own
#: default for finishing is for ever.
INIT_TIMEOUT, FINISH_TIMEOUT = 15.0, 10.0

#: Fewer seconds than any program needs to log a row: the client takes three times as long.
ROW_SECONDS = 1e-4


def settings_of(wandb: Any, **given: str | None) -> Any:
    """Return the client's settings: those *given*, and those that keep it from sending more than the run has."""
    return wandb.Settings(
        **{name: value for name, value in given.items() if value is not None},
        console="off",
        disable_git=True,
        finish_timeout=FINISH_TIMEOUT,
        init_timeout=INIT_TIMEOUT,
        save_code=False,
        silent=True,
        x_disable_stats=True,
    )


def release(wandb: Any, run_id: str) -> None:
    """Make the client's own process release a run that could not be started: otherwise its id stays in use."""
    try:
        service = wandb.setup().ensure_service()
        _, interface = service.inform_attach(run_id)
        interface.deliver_exit(1).wait_or(timeout=5)
        service.inform_finish(run_id=run_id)
    except Exception as error:  # the function is private and may change with any version
        own_log.warning("wandb: the client did not release the run %s (%s)", run_id, error)


def offline_folders(folder: str, run_id: str) -> list[Path]:
    """Return the folders that offline deliveries of the run wrote for `wandb sync`."""
    return list(Path(folder, "wandb").glob(f"offline-run-*-{run_id}"))


def most_rows_since(moment: float) -> int:
    """Return a number of rows that no program can have written since *moment*, in seconds since 1970."""
    return int((time.time() - moment) / ROW_SECONDS)


def has_login(base_url: str | None) -> bool:
    """Whether `wandb login` has stored a key for the server, in the netrc file."""
    import netrc

    host = urlsplit(base_url or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False
