"""The result of a check of `refunc doctor`."""

from __future__ import annotations

from typing import Literal

import attrs

State = Literal["ok", "note", "problem"]


@attrs.frozen
class Finding:
    """The result of one check. `hint` says how to fix a problem."""

    check: str
    state: State
    text: str
    hint: str = ""
