"""Two values of one name: both are kept, the second as `name_2`."""

from __future__ import annotations

from collections.abc import Callable


class Twins:
    """Gives equal names different numbers, at a cost that does not depend on how many there are."""

    __slots__ = ("_numbers",)

    def __init__(self) -> None:
        #: The last number of each name.
        self._numbers: dict[str, int] = {}

    def apart(self, name: str, is_taken: Callable[[str], bool]) -> str:
        """
        Return *name*, or, if that is taken, the first of `name_2`, `name_3` … that is not.

        Args:
            is_taken: Whether there is a value of that name. The result must count as taken at the next call.
        """
        if not is_taken(name):
            return name
        number = self._numbers.get(name, 1) + 1
        while is_taken(found := f"{name}_{number}"):
            number += 1
        self._numbers[name] = number
        return found


class OwnedNames:
    """Names of values with an owner each: the first owner of a name keeps it."""

    def __init__(self) -> None:
        self._owners: dict[str, str] = {}
        #: The final name of an owner's value.
        self._found: dict[tuple[str, str], str] = {}
        self._twins = Twins()

    def of(self, owner: str, name: str) -> str:
        """Return *name*, or, if it is another owner's, `owner/name`, or `owner/name_2` …; the same one each time."""
        found = self._found.get((owner, name))
        if found is None:
            found = name
            if not self._takes(owner, name):
                found = self._twins.apart(f"{owner}/{name}", lambda own: not self._takes(owner, own))
            self._found[owner, name] = found
        return found

    def owner(self, name: str) -> str:
        """Return the owner of *name*. Raises KeyError."""
        return self._owners[name]

    def _takes(self, owner: str, name: str) -> bool:
        return self._owners.setdefault(name, owner) == owner
