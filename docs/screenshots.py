"""
Make the screenshots in docs/images: a training on a real pseudo-terminal, drawn as the terminal shows it.

`tox -e screenshots` runs it. Look at the pictures before committing them.
"""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import tempfile
import termios
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import pyte
from PIL import Image, ImageDraw, ImageFont

IMAGES = Path(__file__).parent / "images"
FONTS = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
COLUMNS, ROWS, POINTS = 112, 16, 14

#: Background, text, and the terminal's own colours, where a scheme leaves them to it.
THEMES: dict[str, tuple[str, str]] = {"dark": ("#1e1e1e", "#d4d4d4"), "light": ("#ffffff", "#1f1f1f")}

TRAINING = """
    import logging, math, sys, time
    from refunc.logging import {formatter}, MLLogger, epoch_context, experiment_context

    logger = MLLogger("train")
    for handler in logger.handlers:
        handler.setFormatter({formatter}({options}))
    library = logging.getLogger("datasets")
    library.addHandler(logger.handlers[0])

    run = logger.start_experiment("digits", "resnet", parameters={{"lr": 0.0003, "batch_size": 64}})
    with epoch_context(total_epochs=5, steps_per_epoch=400, logger=logger) as epochs:
        for epoch in epochs:
            for step in range(400):
                at = epoch * 400 + step
                time.sleep(0.002)
                epochs.update_step(loss=2.3 * math.exp(-at / 400) + 0.03)
                if at == 200:
                    logger.info("loaded 12,000 images", extra={{"path": "data/train"}}, tags={{"split": "train"}})
                    library.warning("2 files of the cache are older than the data")
                if at == 500:
                    print("print() of a script stands here as well")
                    logger.metric("gradient", {{"norm": 0.0012, "clipped": 12345}}, step=at)
                if at == 900:
                    try:
                        open("/mnt/checkpoints/model.pt", "wb")
                    except OSError:
                        logger.exception("checkpoint not written", step=at)
                if at == 1368:
                    sys.stdin.readline()
            epochs.log({{"val_accuracy": 0.9 - 0.3 / (epoch + 1)}})
"""


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    for theme in THEMES:
        options = f"color_scheme='{theme}'"
        shot(f"training-{theme}", TRAINING.format(formatter="ColoredFormatter", options=options), theme)
    shot("training-ml", TRAINING.format(formatter="MLFormatter", options=""), "dark")


def shot(name: str, code: str, theme: str) -> None:
    """Run *code* until both its bars stand where it pauses, and draw the screen."""
    screen = run_until_paused(textwrap.dedent(code), lambda lines: "Epoch 3:" in lines[-1] and "169/400" in lines[-1])
    path = IMAGES / f"{name}.png"
    picture(screen, *THEMES[theme]).save(path, optimize=True)
    print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


def run_until_paused(code: str, is_there: Callable[[list[str]], bool]) -> Any:
    """Return the screen of a terminal on which *code* runs, once *is_there* says so of its lines."""
    screen = pyte.Screen(COLUMNS, ROWS)
    stream = pyte.ByteStream(screen)
    main_end, side = pty.openpty()
    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    hidden = ("TQDM_", "REFUNC_", "NO_COLOR", "FORCE_COLOR")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(hidden)}
    with tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=side,
            stderr=side,
            env={**environment, "TERM": "xterm-256color"},
        )
        os.close(side)
        try:
            deadline = time.monotonic() + 60
            while not is_there([line for line in screen.display if line.strip()] or [""]):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("\n".join(["the script did not get to its pause:", *screen.display]))
                stream.feed(os.read(main_end, 65536))
        finally:
            process.kill()
            process.communicate()
            os.close(main_end)
    return screen


def picture(screen: Any, background: str, text: str) -> Any:
    """Return the screen as an image."""
    fonts = {
        bold: ImageFont.truetype(str(FONTS / f"DejaVuSansMono{'-Bold' if bold else ''}.ttf"), POINTS)
        for bold in (False, True)
    }
    width, height, margin = round(fonts[False].getlength("M")), POINTS + 5, 14
    image = Image.new("RGB", (COLUMNS * width + 2 * margin, ROWS * height + 2 * margin), background)
    draw = ImageDraw.Draw(image)
    for row in range(ROWS):
        for column in range(COLUMNS):
            cell = screen.buffer[row][column]
            left, top = margin + column * width, margin + row * height
            if cell.bg != "default":
                draw.rectangle((left, top, left + width - 1, top + height - 1), fill=f"#{cell.bg}")
            if cell.data in "█▉▊▋▌▍▎▏":
                # As terminals draw them: over the whole cell, where a font leaves gaps between the lines.
                share = "▏▎▍▌▋▊▉█".index(cell.data) + 1
                draw.rectangle((left, top + 1, left + width * share / 8 - 1, top + height - 2), fill=text)
            elif cell.data.strip():
                color = text if cell.fg == "default" else f"#{cell.fg}"
                draw.text((left, top + 1), cell.data, fill=color, font=fonts[cell.bold])
    return image


if __name__ == "__main__":
    main()
