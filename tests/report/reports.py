"""Reports of runs that are trained here, and questions about their pages."""

from __future__ import annotations

import struct
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

from refunc.logging import MLLogger, experiment_context

#: The charts that a page has.
CHARTS = "[...document.querySelectorAll('figure')].flatMap(figure => figure.chart ?? [])"
#: Whether curves were drawn: some pixel of the canvas has another colour than grid and text.
INKED = (
    "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height).data.some((v, at, all) => at % 4 === 0 && "
    "all[at + 3] > 200 && Math.max(v, all[at + 1], all[at + 2]) - Math.min(v, all[at + 1], all[at + 2]) > 60))"
    "(chart.plot.ctx.canvas)"
)


def png() -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes(x * 4 for x in range(64)) for _ in range(64))
    head = struct.pack(">IIBBBBB", 64, 64, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def train(name: str, *, steps: int = 100, lr: float = 0.1, offset: float = 0.0, **tags: str) -> Any:
    logger = MLLogger("train")
    with experiment_context("digits", name) as run:
        logger.log_hyperparams({"lr": lr, "optimizer": {"name": "adam"}})
        logger.add_tags({"team": "vision", **tags})
        for step in range(steps):
            logger.log_metrics({"loss": offset + 1 / (step + 1), "val/acc": step / steps}, step=step)
        logger.info("halfway")
        logger.warning("careful")
    return run


def write(*arguments: str) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "refunc", "report", *arguments, "-o", "report.html"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return Path("report.html").absolute()


def is_quiet(browser: Any, file: Path) -> bool:
    """Whether nothing was complained of, and nothing asked for but the file itself."""
    return bool(browser.complaints() == [] and browser.requests() == [file.as_uri()])


def place_of(browser: Any) -> tuple[float, float, float, float]:
    """Return left, top, width and height of the first chart's area."""
    found = "(r => [r.x, r.y, r.width, r.height])(document.querySelector('.u-over').getBoundingClientRect())"
    return tuple(browser.ask(found))  # type: ignore[return-value]


def frames(browser: Any) -> None:
    """Wait until the page has drawn all that was asked for."""
    browser.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")


def set_value(browser: Any, field: str, text: str) -> None:
    browser.ask(
        f"(e => {{ e.value = {text!r}; e.dispatchEvent(new Event('change')); }})(document.querySelector('{field}'))"
    )
