"""The frame, the style, the script and the content put together into one file."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import Any

from refunc_commands.charts import one_script, part
from refunc_commands.charts import style as style_of_charts
from refunc_commands.report.room import encoded


def page(title: str, content: dict[str, Any]) -> str:
    """
    Return the report as one document of HTML.

    Its content security policy lets the browser load nothing and run only these scripts, identified by their hashes:
    uPlot, and the modules of charts with the page's own script behind them, in a scope of its own.
    """
    style = style_of_charts() + _part("page.css")
    library, script = part("uplot.js"), f"{one_script()}\n{{\n{_part('page.js')}}}\n"
    data = encoded(content)
    parts = {
        "{{title}}": escape(title),
        "{{policy}}": "; ".join(
            (
                "default-src 'none'",
                f"style-src {_hash(style)}",
                f"script-src {_hash(library)} {_hash(script)}",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
            )
        ),
        "{{style}}": style,
        "{{content}}": data,
        "{{library}}": library,
        "{{script}}": script,
    }
    return "".join(_filled(_part("page.html"), parts))


def _filled(frame: str, parts: dict[str, str]) -> list[str]:
    """Return the pieces of *frame*, each mark replaced once; the inserted parts are not searched for marks."""
    pieces = [frame]
    for mark, text in parts.items():
        before, found, behind = pieces[-1].partition(mark)
        if not found:
            raise ValueError(f"page.html: {mark} is missing or out of order.")
        pieces[-1:] = [before, text, behind]
    return pieces


def _part(name: str) -> str:
    return files("refunc_commands.report").joinpath(name).read_text("utf-8")


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
