"""
The colour schemes of the console: the SGR parameters by purpose.

"default" uses the terminal's own sixteen colours, so it follows the user's theme. "dark" and "light" use fixed
colours of the 256-colour palette, chosen (and tested) for a contrast of at least 4.5 to 1, the WCAG's bound for text.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from refunc.logging.levels import LogLevel


class Scheme(NamedTuple):
    """SGR parameters by purpose; the empty string leaves the terminal's text colour alone."""

    levels: Mapping[int, str]
    #: Time, logger name, step, punctuation: visible but quiet.
    secondary: str
    metric_name: str
    metric_value: str
    field_name: str
    field_value: str
    #: The message of a record at ERROR and above.
    alarm: str


SCHEMES: Mapping[str, Scheme] = {
    "default": Scheme(
        levels={
            LogLevel.TRACE: "2",
            LogLevel.DEBUG: "2",
            # Bright blue: the plain one cannot be read on many a black background.
            LogLevel.INFO: "94",
            LogLevel.EXPERIMENT: "35",
            LogLevel.PROGRESS: "36",
            LogLevel.RESULT: "1;32",
            LogLevel.METRIC: "32",
            LogLevel.WARNING: "33",
            LogLevel.ERROR: "31",
            LogLevel.CRITICAL: "1;7;31",
        },
        secondary="2",
        metric_name="36",
        metric_value="1",
        field_name="2",
        field_value="",
        alarm="1",
    ),
    "dark": Scheme(
        levels={
            LogLevel.TRACE: "38;5;247",
            LogLevel.DEBUG: "38;5;250",
            LogLevel.INFO: "38;5;75",
            LogLevel.EXPERIMENT: "38;5;177",
            LogLevel.PROGRESS: "38;5;80",
            LogLevel.RESULT: "1;38;5;156",
            LogLevel.METRIC: "38;5;114",
            LogLevel.WARNING: "38;5;221",
            LogLevel.ERROR: "38;5;210",
            LogLevel.CRITICAL: "1;38;5;231;48;5;160",
        },
        secondary="38;5;247",
        metric_name="38;5;116",
        metric_value="1;38;5;231",
        field_name="38;5;247",
        field_value="38;5;252",
        alarm="1;38;5;231",
    ),
    "light": Scheme(
        levels={
            LogLevel.TRACE: "38;5;241",
            LogLevel.DEBUG: "38;5;239",
            LogLevel.INFO: "38;5;26",
            LogLevel.EXPERIMENT: "38;5;90",
            LogLevel.PROGRESS: "38;5;23",
            LogLevel.RESULT: "1;38;5;22",
            LogLevel.METRIC: "38;5;22",
            LogLevel.WARNING: "38;5;94",
            LogLevel.ERROR: "38;5;160",
            LogLevel.CRITICAL: "1;38;5;231;48;5;160",
        },
        secondary="38;5;241",
        metric_name="38;5;24",
        metric_value="1;38;5;16",
        field_name="38;5;241",
        field_value="38;5;236",
        alarm="1;38;5;16",
    ),
}


def level_color(scheme: Scheme, number: int) -> str:
    """Return the parameters for a level; a level between two of ours takes those of the lower one."""
    color = scheme.levels.get(number)
    if color is None:
        lower = [known for known in scheme.levels if known <= number]
        color = scheme.levels[max(lower, default=min(scheme.levels))]
    return color
