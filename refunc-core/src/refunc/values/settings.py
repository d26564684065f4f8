"""
Every environment variable of refunc: its meaning, its words, and how they are read.

Each is read at the moment given in `read`, and not on import, so a script may set it itself. An empty variable counts
as unset, except for `REFUNC_PLUGINS`. The variables of other programs (`NO_COLOR`, `TQDM_...`, `XDG_...`), and those
between processes of refunc, are read by the modules that use them.
"""

from __future__ import annotations

import os
from typing import Literal

#: The words that switch something on or off, in upper or lower case: in variables of refunc and in those of plugins'
#: options.
ON, OFF = ("1", "on", "true", "yes"), ("0", "off", "false", "no")

#: `paths`: separated by `os.pathsep`. `names`: separated by commas. `choice`: one of the words, or the default.
#: `text`: a word of the user.
Kind = Literal["folder", "paths", "names", "switch", "choice", "seconds", "text"]


class Setting:
    """One variable. A plain class: each import of refunc.logging makes it, and a named tuple takes ten times longer."""

    __slots__ = ("default", "kind", "meaning", "name", "read", "words")

    def __init__(
        self, name: str, kind: Kind, meaning: str, default: str, read: str, words: tuple[str, ...] = ()
    ) -> None:
        """
        Args:
            meaning: The meaning of its value, or, for a switch, the effect if it is on.
            read: When it is read.
            words: Words with a meaning of their own, besides those of its kind.
        """
        self.name = name
        self.kind = kind
        self.meaning = meaning
        self.default = default
        self.read = read
        self.words = words

    def given(self) -> str | None:
        """Return its text unchanged; None if it is not set."""
        return os.environ.get(self.name)

    def text(self) -> str:
        """Return its text unchanged; "" if it is not set."""
        return os.environ.get(self.name, "")

    def is_on(self) -> bool:
        """Return the state of a switch; an unknown word counts as on."""
        text = os.environ.get(self.name)
        if not text or not text.strip():
            return self.default == "on"
        return on_or_off(text) is not False

    def choice(self) -> str:
        """Return its value if that is one of `words`; "" for any other text."""
        word = self.text().strip().lower()
        return word if word in self.words else ""

    def seconds(self) -> float | None:
        """Return its number of seconds, at least 0; None if it is not a number."""
        try:
            seconds = float(self.text())
        except ValueError:
            return None
        return max(0.0, seconds) if seconds == seconds else None  # NaN is not a number of seconds

    def shown(self) -> str:
        """Return it as typed in a shell, with its value quoted."""
        return f"{self.name}={self.text()!r}"

    def allowed(self) -> str:
        """Return the allowed values, for people."""
        words = (*OFF, *ON) if self.kind == "switch" else self.words
        return "a number of seconds" if self.kind == "seconds" else ", ".join(words)

    def misread(self) -> str:
        """Return how a value that is not allowed is read; "" if it is allowed, or not set."""
        if not self.text().strip():
            return ""
        if self.kind == "switch" and on_or_off(self.text()) is None:
            return "on"
        is_known = (self.kind != "choice" or self.choice()) and (self.kind != "seconds" or self.seconds() is not None)
        return "" if is_known else "not set"


def on_or_off(text: str) -> bool | None:
    """Return True for a word that means on, False for one that means off; None for any other *text*."""
    word = text.strip().lower()
    return True if word in ON else False if word in OFF else None


DIR = Setting(
    "REFUNC_DIR",
    "folder",
    "the store: the folder in which runs are made and looked for",
    "experiments",
    "when a run is opened, when the store is read",
)
CACHE = Setting(
    "REFUNC_CACHE",
    "folder",
    "the folder of indexes",
    "refunc",
    "when a run is read",
    OFF,
)
MODE = Setting(
    "REFUNC_MODE",
    "choice",
    "nothing is written anywhere, no thread is started, every call works, and the console stays",
    "",
    "when a logger is made, when a run is opened",
    ("disabled",),
)
QUIET = Setting(
    "REFUNC_QUIET",
    "switch",
    "no lines on the console about the start and the end of a run",
    "off",
    "when a run is opened",
)
REDACT = Setting(
    "REFUNC_REDACT",
    "switch",
    "secrets are masked",
    "on",
    "when a record is written or shown",
)
PLUGINS = Setting(
    "REFUNC_PLUGINS",
    "names",
    "which plugins `auto_configure_integrations()` makes",
    "all",
    "when plugins are looked for",
)
PLUGIN_PATH = Setting(
    "REFUNC_PLUGIN_PATH",
    "paths",
    "folders and files",
    "",
    "when plugins are looked for",
)
DELIVERY = Setting(
    "REFUNC_DELIVERY",
    "choice",
    "deliver on threads of the training process",
    "",
    "when a run gets an integration",
    ("thread",),
)
DELIVERY_LINGER = Setting(
    "REFUNC_DELIVERY_LINGER",
    "seconds",
    "how many seconds the delivery process goes on after the training",
    "600",
    "by the delivery process, when the training is gone",
)
EXIT_WAIT = Setting(
    "REFUNC_EXIT_WAIT",
    "seconds",
    "how many seconds the training waits at exit until all is delivered",
    "10",
    "at exit",
)

RUN_ID = Setting(
    "REFUNC_RUN_ID",
    "text",
    "the id of the run: each start with the same id goes on in the same run, as a further attempt",
    "",
    "when a run is opened",
)
RANK = Setting(
    "REFUNC_RANK",
    "text",
    "the rank of this process, above the variables of all launchers",
    "",
    "when a run is opened, when a line is shown",
)
RANK_LEVEL = Setting(
    "REFUNC_RANK_LEVEL",
    "choice",
    "the level from which ranks other than 0 show their lines on the console",
    "WARNING",
    "when a line is shown",
    ("trace", "debug", "info", "experiment", "progress", "result", "metric", "warning", "error", "critical"),
)
RANK_METRICS = Setting(
    "REFUNC_RANK_METRICS",
    "choice",
    "the metrics of all ranks are delivered, those of rank 3 as `rank_3/...`",
    "",
    "when a run is delivered",
    ("all",),
)

#: All settings, by name.
SETTINGS = {
    setting.name: setting
    for setting in (
        *(DIR, CACHE, MODE, QUIET, REDACT),
        *(RUN_ID, RANK, RANK_LEVEL, RANK_METRICS),
        *(PLUGINS, PLUGIN_PATH, DELIVERY, DELIVERY_LINGER, EXIT_WAIT),
    )
}
