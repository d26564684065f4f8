"""
The charts of `refunc report` and `refunc ui`: ES modules and a style, files of this package.

`chart.js` has one chart, which is given columns of numbers and knows neither of the two. It draws in the frame of
uPlot, whose files are those of its npm package; `VENDORED` says which.

- `uplot.js`, `uplot.css`: uPlot.
- `chart.js`: one chart; `frame.js`: its axes, which uPlot draws; `view.js`: the part that is looked at.
- `curves.js`: columns of a curve, smoothing, colours; `painting.js`: curves onto the canvas.
- `handling.js`: mouse, touch and keys; `link.js`: cursor and zoom that charts share.
- `cursor.js`: the cursor; `tip.js`: the values beside it.
- `words.js`: the chart in words; `numbers.js`: numbers and times as text.
- `charts.css`: style and palettes.
"""

from __future__ import annotations

import re
from importlib.resources import files
from typing import Final

#: The modules, each after those that it imports.
MODULES: Final = (
    *("numbers.js", "curves.js", "view.js", "painting.js", "link.js", "words.js", "tip.js", "cursor.js", "handling.js"),
    *("frame.js", "chart.js"),
)

_IMPORT: Final = re.compile(r"^import \{[^}]*\} from \"\./[\w.]+\";\n", re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|class|const) )", re.MULTILINE)


def part(name: str) -> str:
    """Return a file of the package."""
    return files(__name__).joinpath(name).read_text("utf-8")


def style() -> str:
    """Return the style of charts, with that of uPlot."""
    return part("uplot.css") + "\n" + part("charts.css")


def one_script() -> str:
    """
    Return all modules as one, without imports, for a page that can load none.

    uPlot is not among them: its script stands before this one. A name that two modules define is an error of the
    browser, so each of them has names of its own.
    """
    return "\n".join(_EXPORT.sub("", _IMPORT.sub("", part(name))) for name in MODULES)
