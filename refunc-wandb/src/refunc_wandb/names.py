r"""
The names that W&B accepts, and the respelling of others.

| kind | accepted | longest |
| --- | --- | --- |
| projects | no `/ \ # ? % :`, no control, not only dots, not those of a registry | 128 |
| metrics, results | none that begins with `_` or `refunc/` | 1,000 |
| params, config | no `-` at either end, no `refunc/` first; not `tags`, `_wandb`, `wandb_version` | 1,000 |
| tags | `name:value` | 64 |
| artifacts | ASCII letters and digits, `_ - .`, followed by the run's id; not `run`, not `source` | 128 |
| types of artifacts | no `/ :`; not `job`, none that begins with `wandb-` | 128 |
| parts of a path in an artifact | no `\`, no control, no `.`, `..`, no drive | 240 bytes |
| runs, groups | every text; a longer one is cut | 128 |

The limits are those of the client (wandb/sdk/wandb_settings.py, wandb_config.py, artifacts/_validators.py) and of what
W&B's servers are known to accept. Accepted names stay; all others are respelt by `refunc.plugins.Spelling`, and the
config has the original as `refunc/name/` with the eight digits of the respelt name.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import Final

from refunc.plugins import Spelling

LONGEST_TEXT: Final = 128
#: The most respelt names of a run in its config; the rest are only in the journal.
MAX_ORIGINALS: Final = 500

project_of: Final = Spelling(r"[/\\#?%:\x00-\x1f\x7f]|^\.+$|(?<=^wandb)-(?=registry-)", 128)
metric_of: Final = Spelling(r"^_|(?<=^refunc)/", 1_000, lead="metric")
param_of: Final = Spelling(r"^-+|-+$|(?<=^refunc)/|^(?=(?:tags|_wandb|wandb_version)$)", 1_000, lead="param_")
text_tag_of: Final = Spelling(r"^\s+$", 64)
type_of: Final = Spelling(r"[/:]|(?<=^wandb)-|^(?=job$)", 128, lead="type_")
artifact_of: Final = Spelling(
    r"[^a-zA-Z0-9_.\-]|^[.\-]|(?<=^run)-|(?<=^source)-|^(?=(?:run|source)$)", 100, lead="artifact_"
)
_part_of: Final = Spelling(r"[\\\x00-\x1f\x7f]|^\.{1,2}$|(?<=^[A-Za-z]):", 240, is_file=True)


def tag_of(name: str, value: str) -> str:
    """Return a tag as one text, the form of W&B's tags: `name:value`."""
    return text_tag_of(f"{name}:{value}" if value else name)


def path_of(path: str) -> str:
    """Return the path of a file in an artifact: each part respelt by itself, empty ones left out."""
    return "/".join(map(_part_of, _parts(path)))


def originals_of(path: str) -> dict[str, str]:
    """Return the parts of *path* that are respelt, by the digits of their spellings."""
    return _part_of.originals(_parts(path))


class Originals:
    """The respelt names of each run whose originals its config has."""

    def __init__(self) -> None:
        self._known: dict[str, set[str]] = {}

    def fresh(self, run_id: str, originals: Mapping[str, str]) -> dict[str, str]:
        """Return those of *originals* that the run's config does not have, and has room for."""
        known = self._known.get(run_id, set[str]())
        fresh = ((digits, name) for digits, name in originals.items() if digits not in known)
        return dict(islice(fresh, MAX_ORIGINALS - len(known)))

    def note(self, run_id: str, originals: Mapping[str, str]) -> None:
        """Note that the run's config has *originals* now."""
        self._known.setdefault(run_id, set()).update(originals)

    def forget(self, run_id: str) -> None:
        """Forget a run whose config may not have all of them."""
        self._known.pop(run_id, None)


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part] or [""]
