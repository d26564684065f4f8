"""Bars in a notebook that has no ipywidgets: text in an output of its own, replaced in place."""

from __future__ import annotations

from typing import Any


def has_widgets() -> bool:
    """Return whether tqdm's own bars for notebooks can be drawn."""
    try:
        import ipywidgets
    except ImportError:
        return False
    return hasattr(ipywidgets, "FloatProgress")


def text_class(base: Any) -> Any:
    """Return tqdm's class *base* drawing into the output of the cell: on stderr it would be red, and in pieces."""

    def display(self: Any, msg: str | None = None, pos: int | None = None) -> None:
        from IPython.display import display

        data = {"text/plain": str(self) if msg is None else msg}
        if self.output is None:
            self.output = display(data, raw=True, display_id=True)
        else:
            self.output.update(data, raw=True)

    return type("TextTqdm", (base,), {"output": None, "display": display, "clear": _nothing, "moveto": _nothing})


class SilentFile:
    """The file of such a bar: it accepts all output and shows nothing."""

    encoding = "utf-8"
    write = flush = lambda *_: None


def _nothing(*_: object, **__: object) -> None:
    pass
