"""The page in a notebook: a frame, and a server in this process behind it."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from refunc.runs.store import Store
from refunc_ui.guard import FRAMED
from refunc_ui.serving import Server, place

#: The servers of this process, by their stores.
_servers: dict[Path, Server] = {}
_starting = threading.Lock()


def show(store: Store, *, height: int, fragment: str = "") -> Any:
    """
    Return a frame with the page of *store*; its server ends with this process.

    Args:
        fragment: The state of the page, as it stands in its address behind `#`.
    """
    from IPython.display import IFrame

    return IFrame(f"{address(store)}#{fragment}" if fragment else address(store), width="100%", height=height)


def address(store: Store) -> str:
    """Return the address of the page of *store*, whose server is started if there is none yet."""
    with _starting:
        path = store.path.resolve()
        server = _servers.get(path)
        if server is None or not server.is_alive:
            server = _servers[path] = Server(store, place())
            server.serve_aside()
        # The token stands in the path: browsers keep cookies from frames of another site.
        return f"http://localhost:{server.place.port}{FRAMED}{server.place.token}/"
