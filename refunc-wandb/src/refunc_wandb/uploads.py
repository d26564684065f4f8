"""
Detecting that W&B's client no longer sends.

A server that refuses rows in the middle of a run, as with a 401, ends the client's upload for good: later rows only go
to its own folder, every call returns as before, and only a line in its log tells.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any, Final

from refunc.plugins import without_secrets

_GIVEN_UP: Final = b"filestream: fatal error"

own_log = logging.getLogger("refunc.wandb")


class Upload:
    """The upload of one W&B run, observed in the log of its client."""

    def __init__(self, ours: Any) -> None:
        self._folder, self._log = Path(ours.settings.sync_dir), Path(ours.settings.log_internal)
        self._read = 0

    def refusal(self) -> str | None:
        """Return the server's answer if it refused the key and the client gave up the run; else None."""
        said = self._given_up()
        if said is None:
            return None
        text = without_secrets(f"W&B's client has stopped sending this run: {said}")
        if re.search(r"\b40[13] (?:Unauthorized|Forbidden)", said):
            return text
        own_log.warning("wandb: %s. To send the rest of its files, run: wandb sync %s", text, self._folder)
        return None

    def _given_up(self) -> str | None:
        try:
            with self._log.open("rb") as file:
                file.seek(self._read)
                lines = file.read().splitlines(keepends=True)
        except OSError:  # offline, or a client that keeps no log
            return None
        if lines and not lines[-1].endswith(b"\n"):  # the line is still being written
            del lines[-1]
        self._read += sum(map(len, lines))
        for line in lines:
            if _GIVEN_UP in line:
                try:
                    return str(json.loads(line)["msg"])[:300]
                except (ValueError, LookupError, TypeError):
                    return line.decode(errors="replace")[:300]
        return None
