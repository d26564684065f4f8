"""
Judging what an error of a hook means for the records in the call, by its contents and not by its class alone.

Each client raises another class for the same refusal: `requests` derives its HTTPError from OSError, like a refused
connection; a client's own check raises ValueError, and SQLAlchemy wraps the database's error. So the whole chain of
causes is searched: for an HTTP status first, then for a database's error, then for a missing file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Literal, NamedTuple

from refunc.journal.record import Artifact
from refunc.plugins.errors import Pause, Reject, Retry
from refunc.plugins.hooks import TAKERS
from refunc.values.jsonable import number

#: `denied`: the credentials. `away`: as in an outage. `refused`: this record, for good. `unknown`: none of these.
Kind = Literal["denied", "away", "refused", "unknown"]

_DENIED: Final = frozenset({401, 403, 407})
_LATER: Final = frozenset({408, 409, 423, 425, 429})
#: Names of gRPC's status codes (https://grpc.io/docs/guides/status-codes/).
_GRPC: Final[dict[str, Kind]] = {
    "UNAUTHENTICATED": "denied",
    "PERMISSION_DENIED": "denied",
    "INVALID_ARGUMENT": "refused",
    "NOT_FOUND": "refused",
    "ALREADY_EXISTS": "refused",
    "FAILED_PRECONDITION": "refused",
    "OUT_OF_RANGE": "refused",
    "UNIMPLEMENTED": "refused",
    "UNAVAILABLE": "away",
    "DEADLINE_EXCEEDED": "away",
    "RESOURCE_EXHAUSTED": "away",
    "ABORTED": "away",
    "CANCELLED": "away",
    "INTERNAL": "away",
}
#: Exceptions of database drivers, which all have these names (PEP 249), and of SQLAlchemy, which adds some.
_DATABASES: Final = frozenset({"sqlalchemy", "sqlite3", "psycopg", "psycopg2", "pymysql", "MySQLdb", "asyncpg"})
_DATABASE: Final[dict[str, Kind]] = {
    "OperationalError": "away",
    "InternalError": "away",
    "TimeoutError": "away",
    "DisconnectionError": "away",
    "DataError": "refused",
    "IntegrityError": "refused",
    "ProgrammingError": "refused",
    "NotSupportedError": "refused",
    "InterfaceError": "refused",  # a value that cannot be bound
}
#: The most links of a chain of causes that are examined; a loop would have no end.
_MOST_CAUSES: Final = 30


class Judgement(NamedTuple):
    """The meaning of an error, and the seconds after which the backend asked to be called again, if it did."""

    kind: Kind
    after: float | None = None


def judge(error: BaseException, hook: str = "") -> Judgement:
    """Return the meaning of *error*, raised by *hook* or by opening an integration. Never raises."""
    if _is(error, Pause):
        return Judgement("denied")
    if _is(error, Retry):
        return Judgement("away", number(_read(error, "after")))
    if _is(error, Reject):
        return Judgement("refused")
    chain = list(_causes(error))
    # With an artifact, a missing file is the artifact's; elsewhere it is the client's own, which all records need.
    asks: tuple[Callable[[BaseException], Judgement | None], ...] = (
        _by_status,
        _by_database,
        *((_by_file,) if hook == TAKERS[Artifact] else ()),
    )
    for ask in asks:
        for each in chain:
            try:
                judgement = ask(each)
            except BaseException:  # see `_read`
                continue
            if judgement is not None:
                return judgement
    # A ValueError that is also an OSError is a client's check of its arguments, such as `requests.InvalidURL`.
    if any(_is(each, OSError) and not _is(each, ValueError) for each in chain):
        return Judgement("away")
    return Judgement("unknown")


def _causes(error: BaseException) -> Iterator[BaseException]:
    """Yield *error* and its origins: causes, contexts, and exceptions among its arguments."""
    waiting = [error]
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_CAUSES:
        each = waiting.pop(0)
        if id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        inner = [_read(each, "__cause__"), _read(each, "__context__"), _read(each, "reason"), _read(each, "orig")]
        args = _read(each, "args")
        inner[2:2] = args[:_MOST_CAUSES] if type(args) is tuple else ()
        waiting += [one for one in inner if _is(one, BaseException)]


def _read(value: object, name: str) -> Any:
    """
    Return an attribute, or None if it is missing or reading it raises.

    An attribute of a foreign exception may be code, which may raise anything, SystemExit included.
    """
    try:
        return getattr(value, name, None)
    except BaseException:
        return None


def _is(value: object, kind: type) -> bool:
    """Whether *value* is of *kind* by its type; `isinstance` also reads `__class__`, which may be code."""
    return issubclass(type(value), kind)


def _by_status(error: BaseException) -> Judgement | None:
    status = _http_status(error)
    if status is not None:
        if status in _DENIED:
            return Judgement("denied")
        return Judgement("away" if status >= 500 or status in _LATER else "refused", _retry_after(error))
    code = _read(error, "code")
    name = _read(code() if callable(code) else code, "name")
    kind = _GRPC.get(name) if isinstance(name, str) else None
    return Judgement(kind) if kind is not None else None


def _http_status(error: BaseException) -> int | None:
    """Return the HTTP status in *error*, wherever its client keeps it; one below 400 is ignored."""
    response = _read(error, "response")
    metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}  # botocore
    found: list[Any] = [
        _read(response, "status_code"),
        _read(response, "status"),
        metadata.get("HTTPStatusCode"),
        *(_read(error, name) for name in ("status_code", "http_status", "status", "code")),
    ]
    return next((each for each in found if type(each) is int and 400 <= each < 600), None)


def _retry_after(error: BaseException) -> float | None:
    """Return the seconds of a Retry-After header; if it is a date, the back-off decides."""
    response = _read(error, "response")
    headers = _read(error if response is None else response, "headers")
    try:
        said = headers.get("Retry-After") if headers is not None else None
        return float(said) if isinstance(said, str) and said.strip().isdigit() else None
    except BaseException:  # see `_read`; and `²` is a digit, but not a number
        return None


def _by_database(error: BaseException) -> Judgement | None:
    for kind in type(error).__mro__:
        if kind.__module__.partition(".")[0] in _DATABASES and kind.__name__ in _DATABASE:
            return Judgement(_DATABASE[kind.__name__])
    return None


def _by_file(error: BaseException) -> Judgement | None:
    """Judge a missing file: waiting does not bring it back. A missing socket has no file name."""
    if isinstance(error, (FileNotFoundError, IsADirectoryError, NotADirectoryError)) and error.filename is not None:
        return Judgement("refused")
    return None
