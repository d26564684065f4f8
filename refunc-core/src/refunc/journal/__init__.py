"""
The journal: what a run is made of on disk, and the threads that write it.

Lowest layer; it imports nothing else of refunc. Writing goes `Outlet.append` → deque → `drain` → one `write(2)`;
reading goes `read_journal(folder)`. The format is written down in `docs/reference/run-format.md`.
"""
