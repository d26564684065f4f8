"""
Make the screenshots of the page in docs/images: a store with a few trainings, one of them running, in Chromium.

`tox -e page-screenshots` runs it. It needs Chromium and its driver. Look at the pictures before committing them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By

IMAGES = Path(__file__).parent / "images"
TOKEN = "screenshots"
PORT = 8471
ADDRESS = f"http://127.0.0.1:{PORT}/"

#: Three models, four seeds of each; the last run of all is still running. Times are as if the trainings were longer.
TRAININGS = """
import math, random, sys, time
from pathlib import Path
import struct, zlib
from refunc.logging import MLLogger, define_metric, experiment_context

def picture(seed):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    size, rows = 10 * 22, []
    for y in range(size):
        row = bytearray()
        for x in range(size):
            a, b = x // 22, y // 22
            noise = random.Random(a * 100 + b + seed).random()
            share = 0.85 + 0.15 * noise if a == b else 0.25 * noise ** 4
            row += bytes((int(255 - 200 * share), int(255 - 140 * share), int(255 - 60 * share)))
        rows.append(b"\\0" + bytes(row))
    head = struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)
    data = zlib.compress(b"".join(rows))
    return b"\\x89PNG\\r\\n\\x1a\\n" + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND", b"")

Path("confusion.png").write_bytes(picture(1))
Path("labels.txt").write_text("\\n".join("zero one two three four five six seven eight nine".split()))
logger = MLLogger("train")
models = [("resnet", 0.1, 520), ("mlp", 0.03, 760), ("vit", 0.01, 330)]
for seed in range(4):
    for model, lr, speed in models:
        random.seed(f"{model}{seed}")
        is_last = seed == 3 and model == "vit"
        try:
            with experiment_context("digits", f"{model}-{seed}"):
                define_metric("val/loss", goal="min")
                define_metric("val/accuracy", goal="max")
                params = {"lr": lr, "model": model, "seed": seed, "batch_size": 64}
                optimizer = {"name": "adamw", "betas": [0.9, 0.999], "weight_decay": 0.05}
                logger.log_hyperparams({**params, "optimizer": optimizer})
                logger.add_tags({"team": "vision"})
                for step in range(2_000):
                    base = math.exp(-step / speed) + 0.06 + 0.02 * seed * (model == "mlp")
                    points = {"train/loss": base + random.gauss(0, 0.02 + 0.05 * base), "lr": lr * (1 - step / 2_000)}
                    if step % 20 == 0:
                        points["val/loss"] = base * 1.12 + random.gauss(0, 0.02)
                        points["val/accuracy"] = 1 - base * 0.72 + random.gauss(0, 0.008)
                    if model == "mlp" and seed == 2 and 900 <= step < 903:
                        points["train/loss"] = math.nan
                    logger.log_metrics(points, step=step, epoch=step // 100)
                    if step % 50 == 0:
                        text = "epoch %d: train/loss %.3f, %d images/s"
                        logger.info(text, step // 100, base, random.randint(950, 1050), step=step)
                    if step % 400 == 399:
                        logger.warning("gradient norm %.1f was clipped to 10", random.uniform(11, 20), step=step)
                    if model == "mlp" and seed == 2 and step == 1_100:
                        raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
                    time.sleep(0.05 if is_last and step > 1_200 else 0.0005)
                logger.log_artifact("confusion.png")
                logger.log_artifact("labels.txt")
        except RuntimeError:
            pass
"""


def main() -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "experiments"
        environment = {**os.environ, "REFUNC_DIR": str(store), "REFUNC_CACHE": str(folder / "cache")}
        quiet = {"cwd": folder, "env": environment, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        training = subprocess.Popen([sys.executable, "-c", TRAININGS], **quiet)  # type: ignore[call-overload]
        wait_for(lambda: len(list(store.glob("*_vit-3_*"))) > 0)
        time.sleep(6)
        command = [sys.executable, "-m", "refunc", "--store", str(store), "ui", "--port", str(PORT)]
        server = subprocess.Popen([*command, "--token", TOKEN, "--no-open"], **quiet)  # type: ignore[call-overload]
        driver = browser(folder / "profile")
        try:
            draw_all(driver, {path.name.split("_")[1]: path.name.split("_")[2] for path in store.iterdir()})
        finally:
            driver.quit()
            for process in (server, training):
                process.kill()
                process.wait()


def draw_all(driver: Any, ids: dict[str, str]) -> None:
    """Write the pictures of a store with runs of these names."""
    five = [f"run={slot}:{ids[name]}" for slot, name in enumerate(("vit-3", "mlp-3", "resnet-3", "vit-2", "mlp-2"))]
    metrics = "chart=train/loss&chart=val/loss&chart=val/accuracy&chart=lr"
    columns = "column=params.lr&column=params.model&column=metrics.val/loss.min&column=metrics.val/accuracy.max"
    look(driver, "&".join([*five, metrics, columns, "smooth=0.8", "log=lr"]), (1440, 900), "light")
    hover(driver, 1, 0.42)
    save(driver, "page-light.png")
    every = [f"run={slot}:{run}" for slot, run in enumerate(ids.values())]
    look(driver, "&".join([*every, metrics, columns, "group=params.model", "spread=minmax"]), (1440, 900), "dark")
    hover(driver, 2, 0.3)
    save(driver, "page-groups.png")
    look(driver, f"view={ids['mlp-2']}&other={ids['vit-2']}&{metrics}", (1440, 1240), "light")
    wait_for(lambda: driver.execute_script("return document.querySelectorAll('.line').length > 10"))
    hover(driver, 0, 0.75)
    time.sleep(1)
    save(driver, "page-run.png")
    look(driver, "&".join([*five, metrics, columns, "smooth=0.8"]), (390, 1240), "light")
    save(driver, "page-phone.png")


def browser(profile: Path) -> Any:
    """Return Chromium without a window."""
    options = webdriver.ChromeOptions()
    for argument in ("headless", "no-sandbox", "disable-gpu", "hide-scrollbars", f"user-data-dir={profile}"):
        options.add_argument(f"--{argument}")
    return webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))


def look(driver: Any, state: str, size: tuple[int, int], scheme: str) -> None:
    """Open the page in a window of that size, with its state in the address, and wait until it is drawn."""
    driver.get("about:blank")
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    for _ in range(50):
        try:
            driver.get(f"{ADDRESS}?token={TOKEN}#{state}")
            break
        except Exception:  # the server is not there yet
            time.sleep(0.2)
    drawn = "return [...document.querySelectorAll('.chart')].filter(e => e.chart.curves.length && e.chart.plot).length"
    wait_for(lambda: driver.execute_script(drawn) >= (1 if width < 600 else 3))
    wait_for(lambda: not driver.execute_script("return document.querySelector('#table').textContent.includes('…')"))
    time.sleep(1.5)


def hover(driver: Any, chart: int, share: float) -> None:
    """Have the pointer in a chart, at a share of its width."""
    area = driver.find_elements(By.CSS_SELECTOR, ".u-over")[chart]
    offset = int(area.size["width"] * (share - 0.5))
    ActionChains(driver).move_to_element_with_offset(area, offset, 0).perform()
    time.sleep(0.5)


def save(driver: Any, name: str) -> None:
    """Write a screenshot of the window."""
    driver.save_screenshot(str(IMAGES / name))


def wait_for(condition: Any) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + 120
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


if __name__ == "__main__":
    main()
