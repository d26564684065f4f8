"""Sentences about an answer that may not be the expected one: runs that a comparison leaves out, and near texts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from refunc.runs.expression.asked import (
    ALONE,
    CALCULATED,
    IS_MISSING,
    Asked,
    Path,
    Site,
    alike_metrics,
    kind_of_value,
    nearest_names,
    written,
)
from refunc.runs.expression.hints import in_brackets
from refunc.runs.expression.values import MISSING, ORDERS
from refunc.values.patterns import Patterns, is_pattern
from refunc.values.texts import short_repr

#: The most values that are compared letter by letter: an answer without runs comes as soon as one with runs.
_MOST_VALUES: Final = 2_000
#: Signs of a regular expression that hardly any name has.
_OF_REGEXES: Final = re.compile(r"\.\*|^\^|\$$|\\[dws]|\|")
#: What is said of a value that a name alone, or a part of a calculation, cannot be.
_UNFIT: Final = {ALONE: "which is neither True nor False", CALCULATED: "which is not a number to calculate with"}
#: The comparisons with which one asks for all other values.
_OTHERS: Final = frozenset(("!=", "not in", "!~"))


def runs_without(sites: Iterable[Site], runs: Sequence[Mapping[Path, Any]]) -> list[str]:
    """Return a sentence for each comparison that asks for another value, and leaves runs out that have none."""
    sites = list(sites)
    considered = {site.path for site in sites if site.operator == IS_MISSING}
    told = []
    for site in sites:
        if site.operator in _OTHERS and site.is_left and site.given != (None,) and site.path not in considered:
            none = sum(facts[site.path] is MISSING for facts in runs)
            if 0 < none < len(runs):
                name, have = written(site.path), "1 run has" if none == 1 else f"{none:,} runs have"
                told.append(f"{have} no {name}, and so not another one; `or {name} is missing` adds them")
    return list(dict.fromkeys(told))


def unfit_values(sites: Iterable[Site], runs: Sequence[Mapping[Path, Any]]) -> list[str]:
    """Return a sentence for each comparison for which some runs have a value that has no order with the given one."""
    told = []
    for site in sites:
        if site.operator not in ORDERS and site.operator not in _UNFIT:
            continue
        fits_all = [kind for kind in (int, float) if site.fits(kind())]  # a number has an order with each number
        there = [value for facts in runs if type(value := facts[site.path]) not in fits_all and value is not MISSING]
        unfit = [value for value in there if not site.fits(value)]
        if unfit:
            runs_have = "1 run has" if len(unfit) == 1 else f"{len(unfit):,} runs have"
            example = "" if unfit[0] is None else f" such as {short_repr(unfit[0], repr)},"
            told.append(
                f"{runs_have} {kind_of_value(unfit[0])} as {written(site.path)},{example} "
                + _UNFIT.get(site.operator, f"which cannot be compared with {site.given[0]!r}")
            )
    return list(dict.fromkeys(told))


def searched_texts(sites: Iterable[Site], runs: Sequence[Mapping[Path, Any]]) -> list[str]:
    """Return a sentence for each text after `in` in which values are searched, where people mean something else."""
    told = []
    for site in sites:
        if not site.is_searched:
            continue
        name, word, text = written(site.path), site.operator, site.given[0]
        there = {value for facts in runs if isinstance(value := facts[site.path], str) and value != text}
        if any(value in text or text in value for value in there):
            told.append(
                f"{name} {word} {text!r} asks whether the value is a part of {text!r}; "
                f"write {word} ({text!r}) for the value itself, and {text!r} {word} {name} to search it"
            )
    return list(dict.fromkeys(told))


def hidden_metrics(
    asks: Iterable[Asked], runs: Sequence[Mapping[Path, Any]], names: Callable[[str], Iterable[str]]
) -> list[str]:
    """Return a sentence for each statistic that is the name of a metric too, such as `loss.min` beside `loss`."""
    told = []
    for path, existence in alike_metrics(asks).items():
        _, *parts = path
        of, whole = ".".join(parts[:-1]), ".".join(parts)
        if any(facts[existence] is not MISSING for facts in runs) and of in names("metrics"):
            other = in_brackets("metrics", f"{whole}.last")
            told.append(
                f"{written(path)} is the {parts[-1]} of the metric {of!r}; write {other} for the metric {whole!r}"
            )
    return told


def near_values(sites: Iterable[Site], runs: Sequence[Mapping[Path, Any]]) -> list[str]:
    """Return a sentence for each text that no run has, but for a spelling; it is a question that no run matches."""
    told = []
    for site in sites:
        asks_for_text = site.operator in ("==", "in", "~") and site.is_left and not site.is_searched
        if not asks_for_text or site.path == ("status",):
            continue
        known = {value for facts in runs if isinstance(value := facts[site.path], str)}
        for word in site.given:
            if isinstance(word, bool) and str(word) in known:
                told.append(f"no run has {word} as {written(site.path)}. Did you mean {str(word)!r}, the text?")
            if not isinstance(word, str) or not word or word in known:
                continue
            if site.operator == "~" and is_pattern(word):
                told += _near_pattern(site, word, known)
                continue
            if word.lower() in ("true", "false") and any(isinstance(facts[site.path], bool) for facts in runs):
                told.append(f"no run has the text {word!r} as {written(site.path)}. Did you mean {word.title()}?")
                continue
            said = f"no run has {word!r} as {written(site.path)}."
            near = nearest_names(word, sorted(known), _MOST_VALUES)
            if site.operator == "~" and any(word in value for value in known):
                told.append(f"{said} A pattern fits a whole text: write '*{word}*' for a part of one")
            elif near:
                told.append(f"{said} Did you mean {', '.join(map(repr, near))}?")
    return list(dict.fromkeys(told))


def _near_pattern(site: Site, pattern: str, known: Iterable[str]) -> list[str]:
    """Return a sentence for a *pattern* that fits no value, but was meant in another way or for other letters."""
    if _OF_REGEXES.search(pattern):
        return [f"{pattern!r} is a pattern in which * is any text, and no regular expression."]
    patterns = Patterns([pattern.lower()])
    fits = [value for value in sorted(known)[:_MOST_VALUES] if patterns.last_match(value.lower()) is not None]
    said = f"{pattern!r} fits no {written(site.path)}: capital letters count. It would fit"
    return [f"{said} {fits[0]!r} without them."] if fits else []
