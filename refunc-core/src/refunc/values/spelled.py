"""A stored value as a person writes it, in tables, files and labels of curves."""

from __future__ import annotations

import json
from typing import Any

from refunc.values.jsonable import spell_nonfinite


def spelled(value: Any) -> str:
    """Return *value*, a result of `jsonable`, as a text: a text without quotes, and all others as JSON."""
    known = spell_nonfinite(value)
    return known if isinstance(known, str) else json.dumps(known, ensure_ascii=False, allow_nan=False)
