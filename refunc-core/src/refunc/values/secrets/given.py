"""
Secrets that were given to refunc itself, such as an integration's token: recognised by their values, in each form in
which a client's error or log line quotes them.
"""

from __future__ import annotations

from base64 import b64encode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import islice
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

#: A shorter value, or part of one, is not looked for: it may be part of ordinary words.
SHORTEST: Final = 6
_SHORTEST_PART: Final = 8
#: The most encoded forms of one secret that are looked for: an address has about sixty.
_MOST_ENCODED: Final = 100
#: Secrets of which the encoded forms are looked for, the latest ones; the values and their parts always are.
_MOST_SECRETS: Final = 100


class GivenSecrets:
    """Knows the values that were given, and their forms. Threads share it: `values` is replaced by one assignment."""

    def __init__(self) -> None:
        #: For each value, the value and its parts, and the encoded forms of these.
        self._secrets: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {}
        self._known: tuple[str, ...] = ()

    def remember(self, value: str) -> None:
        """Mask *value* from now on, in everything that this process writes or shows."""
        if len(value) < SHORTEST or value in self._secrets:
            return
        plain = tuple(dict.fromkeys([value, *(part for part in _parts(value) if len(part) >= _SHORTEST_PART)]))
        encoded = tuple(islice(dict.fromkeys(_encoded(plain)), _MOST_ENCODED))
        self._secrets[value] = (plain, encoded)
        secrets: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
        while len(secrets) < len(self._secrets):  # another thread may add one meanwhile
            secrets = list(self._secrets.values())
            known = dict.fromkeys(form for plain, _ in secrets for form in plain)
            for _, encoded in secrets[-_MOST_SECRETS:]:
                known |= dict.fromkeys(encoded)
            self._known = tuple(sorted(known, key=len, reverse=True))

    def remember_credentials_of(self, address: str) -> None:
        """Mask the password in *address*, and user and password together; the address itself stays readable."""
        try:
            credentials = urlsplit(address).netloc.rpartition("@")[0]
        except ValueError:
            return
        for part in (credentials, credentials.partition(":")[2]):
            self.remember(part)
            self.remember(unquote(part))

    def values(self) -> tuple[str, ...]:
        """Return the forms, longest first: one may have another in it."""
        return self._known


def _encoded(plain: tuple[str, ...]) -> Iterator[str]:
    """Yield the forms in which a client quotes a secret or a part of it."""
    for each in plain:
        yield from (quote(each, safe=""), quote(each), quote_plus(each))
    for each in plain:
        if len(each) >= _SHORTEST_PART:
            yield from _in_base64(each.encode("utf-8", "surrogateescape"))


def _parts(value: str) -> Iterator[str]:
    """Yield the secret parts of an address: user and password, alone and together, the path, and the query."""
    try:
        address = urlsplit(value)
    except ValueError:
        return
    if not (address.scheme and address.netloc):
        return
    user, _, password = address.netloc.rpartition("@")[0].partition(":")
    for part in (f"{user}:{password}" if password else "", password, user, address.path.strip("/"), address.query):
        if part:
            yield part
            yield unquote(part)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield the base64 of *raw* within a longer text, for all three alignments."""
    for before in range(3):
        for encode in (b64encode, urlsafe_b64encode):
            encoded = encode(b"\0" * before + raw).decode().rstrip("=")
            # The first characters depend on those before them, and the last ones on those after them.
            core = encoded[(0, 2, 3)[before] :]
            core = core[: len(core) - 1] if (before + len(raw)) % 3 else core
            if len(core) >= _SHORTEST_PART:
                yield core


given: Final = GivenSecrets()
