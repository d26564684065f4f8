"""
Which value of a metric is the best: from `define_metric`, or from its name by convention.

The only place with the convention: lines on the console, summaries, tables, commands and reports ask here, and mark a
goal that was only guessed.
"""

from __future__ import annotations

import re
from typing import Final

from refunc.values.definitions import Definitions

MIN: Final = "min"
MAX: Final = "max"

_LOWER: Final = frozenset(
    "loss logloss error err mae mape mse rmse rmsle nll ppl perplexity wer cer fid divergence".split()
)
_HIGHER: Final = frozenset(
    "accuracy acc f1 auc aucpr auroc precision recall ndcg bleu rouge iou dice r2 reward score psnr ssim".split()
)


def guessed_goal(name: str) -> str | None:
    """Return the goal that a metric's name has by convention: `min`, `max`, or None if it has none."""
    words = re.split(r"[^a-z0-9]+", name.lower())
    if "std" in words:  # how far the values of a cross-validation are apart
        return None
    if not _LOWER.isdisjoint(words):
        return MIN
    return MAX if not _HIGHER.isdisjoint(words) else None


def goal_of(name: str, defined: Definitions[str]) -> str | None:
    """
    Return `min`, `max`, or None if that cannot be known.

    Args:
        defined: Goals by name or pattern: the last one that matches counts.
    """
    return defined.of(name) or guessed_goal(name)
