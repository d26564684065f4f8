r"""
The names that MLflow accepts, and the respelling of others.

| kind | accepted | longest |
| --- | --- | --- |
| metrics, params, tags | letters and digits of any script, `_ - . : /`, space; a path that leads nowhere else | 250 |
| tags of a user | the same, and none that begins with `refunc.` | 250 |
| parts of an artifact's path | no `# ? % ; : \ *`, no control, no name of refunc's own | 240 bytes |
| experiments | every text | 256 |
| runs | every text; it need not be unique, so a longer one is only cut | 250 |

The limits are those of MLflow's validation (mlflow/utils/validation.py, uri.py) and of the columns of its databases.
Accepted names stay; all others are respelt by `refunc.plugins.Spelling`, and the tag `refunc.name.` with the eight
digits of a respelt name has the original.
"""

from __future__ import annotations

from typing import Final

from refunc.plugins import Spelling

#: Files that refunc adds to a run: its lines, and its params if one had to be cut.
LINES, PARAMS = "refunc-log.txt", "refunc-params.json"
LONGEST_KEY: Final = 250
LONGEST_RUN: Final = 250

_KEY: Final = r"[^\w\-. :/]|^/|/$|(?<=/)/|(?<![^/])\.{1,2}(?![^/])|^\.\."
key_of: Final = Spelling(_KEY, LONGEST_KEY)
tag_of: Final = Spelling(rf"{_KEY}|(?<=^refunc)\.", LONGEST_KEY)
experiment_of: Final = Spelling(r"(?!)", 256)
_part_of: Final = Spelling(
    r"[#?%;:\\*\x00-\x1f\x7f]|^\s|^\.$|^\.\."
    r"|(?<=^refunc)-(?=(?:log\.txt|params\.json)$)",
    240,
    is_file=True,
)


def path_of(path: str) -> str:
    """Return the path of an artifact's file for MLflow: each part respelt by itself, empty ones left out."""
    return "/".join(map(_part_of, _parts(path)))


def originals_of(path: str) -> dict[str, str]:
    """Return the parts of *path* that are respelt, by the digits of their spellings."""
    return _part_of.originals(_parts(path))


def _parts(path: str) -> list[str]:
    return [part for part in path.split("/") if part] or [""]
