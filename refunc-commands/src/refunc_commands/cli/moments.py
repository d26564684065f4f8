"""Times and ages as options of a command line; see `refunc.values.moments`."""

from __future__ import annotations

import click

from refunc.values.moments import AGES, MOMENTS, age_of, moment_of


def age(text: str) -> float:
    """
    Return the seconds of an age such as `90s`, `10m`, `2h`, `30d` or `4w`.

    Raises:
        click.BadParameter: It is not valid.
    """
    seconds = age_of(text)
    if seconds is None:
        raise click.BadParameter(f"{text!r} is not a valid age. Write it as {AGES}.")
    return seconds


def parse_moment(text: str) -> float:
    """
    Return a time in seconds since 1970: an age before now, a time of today, a local date with or without a time.

    Raises:
        click.BadParameter: It is not valid.
    """
    found = moment_of(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a valid time. Write it as {MOMENTS}.")
    return found
