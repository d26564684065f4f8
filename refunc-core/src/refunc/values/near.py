"""Words that are spelled like another one, for the hint of an error."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str], *, most: int = 1, alike: float = 0.6) -> list[str]:
    """
    Return those of the *known* words that are spelled like *word*, the nearest first.

    Args:
        most: The most words to return.
        alike: How much of a word must be the same, from 0 to 1.
    """
    from difflib import get_close_matches  # hardly any call makes an error

    return get_close_matches(word, list(known), n=most, cutoff=alike)
