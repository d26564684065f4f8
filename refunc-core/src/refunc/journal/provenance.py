"""
Whether this user wrote the records that refunc acts upon: a message authentication code with a key that only they have.

A run is a folder that people copy, send, and keep in shared stores, so its journal may be another user's text. It is
read. But the integrations that it asks for, and the files outside of it that are sent, count only with a code from this
user's key. The key is made once, in the user's state folder, which all machines with the same home share.
"""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any, Final

from refunc.outlets.opening import no_links, write_whole
from refunc.outlets.replaced import Draft

#: Members of an `attach` record that are acted upon, besides `options` and `withheld`.
_ATTACH: Final = ("name", "path", "key", "target")
_KEY_BYTES: Final = 32
#: Half of a SHA-256: a longer code adds nothing (RFC 2104, section 5).
_MAC_LETTERS: Final = 32

_key: bytes | None = None
_is_kept = False


def key_path() -> Path:
    """Return where this user's key is, or would be: `refunc/key` in `XDG_STATE_HOME`, else in `~/.local/state`."""
    base = os.environ.get("XDG_STATE_HOME", "")
    return Path(base if os.path.isabs(base) else os.path.expanduser("~/.local/state"), "refunc", "key")


def missing_key() -> str:
    """Return why no key can be stored; "" if there is one. Makes the key if possible."""
    global _key, _is_kept
    if _is_kept:
        return ""
    path = key_path()
    try:
        _key = _read(path) or _made(path)
        _is_kept = True
    except OSError as error:
        return f"{path}: {error.strerror or error}"
    return ""


def key() -> bytes:
    """Return this user's key; if none can be stored, one that lasts as long as this process."""
    global _key
    if missing_key() and _key is None:
        _key = os.urandom(_KEY_BYTES)
    assert _key is not None  # made above
    return _key


def adopt(given: str) -> None:
    """Use the key of the training that started this process, in hexadecimal, whether or not it can be stored."""
    global _key, _is_kept
    _key, _is_kept = bytes.fromhex(given), True


def mac_of_attach(run_id: object, fields: dict[str, Any]) -> str:
    """Return the code of an `attach` record of the run *run_id* with these *fields*, in their written form."""
    texts = [fields.get(name) or "" for name in _ATTACH]
    return _mac("attach", run_id, *texts, fields.get("options") or {}, list(fields.get("withheld") or ()))


def mac_of_reference(run_id: object, source: str, size: object, mtime: object) -> str:
    """Return the code of a file outside of the run *run_id* that may be sent with it: its path, bytes and time."""
    return _mac("reference", run_id, source, size, mtime)


def is_authentic(mac: object, expected: str) -> bool:
    """Whether *mac*, from a record, equals *expected*."""
    import hmac

    return isinstance(mac, str) and hmac.compare_digest(mac.encode(), expected.encode())


def _mac(*facts: object) -> str:
    import hmac

    text = json.dumps(facts, sort_keys=True, separators=(",", ":"))
    return hmac.new(key(), text.encode("ascii"), "sha256").hexdigest()[:_MAC_LETTERS]


def _read(path: Path) -> bytes | None:
    """Return the key in *path*, None if there is no file. Raises OSError if other users may know it."""
    try:
        fd = no_links(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        return None
    try:
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise OSError("it is not a file")
        if hasattr(os, "geteuid") and (info.st_uid != os.geteuid() or info.st_mode & 0o077):
            raise OSError("other users may read it. Delete it, and refunc makes a new one")
        text = os.read(fd, 1_000)
    finally:
        os.close(fd)
    try:
        found = bytes.fromhex(text.decode("ascii").strip())
    except ValueError:
        found = b""
    if len(found) != _KEY_BYTES:
        raise OSError("it does not hold a key. Delete it, and refunc makes a new one")
    return found


def _made(path: Path) -> bytes:
    """Make the key at *path*, whole or not at all; if several processes do so, all use the same one."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = os.urandom(_KEY_BYTES)
    with Draft(path, private=True) as draft:
        write_whole(draft.fd, made.hex().encode("ascii") + b"\n")
        os.fsync(draft.fd)
        _put(draft, path)
    return _read(path) or made


def _put(draft: Draft, path: Path) -> None:
    """Give *draft* the name *path*, unless another process was quicker."""
    try:
        os.link(draft.path, path)
    except FileExistsError:
        pass
    except OSError:  # a file system without links: the last one wins, before any run is written with the first
        draft.put()
