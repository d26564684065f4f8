"""The page in a real Chromium, over a real server; one browser for all tests."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Callable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1280,900"),
)
#: Seconds that a condition on the page is waited for.
PATIENCE = 60.0
TOKEN = "t0ken"
#: The charts of the page, with their curves.
CHARTS = "[...document.querySelectorAll('.chart')].map(figure => figure.chart)"


class Server:
    """`refunc ui` over one store, in a process of its own."""

    def __init__(self, store: Path, port: int) -> None:
        self.store = store
        self.port = port
        self.address = f"http://127.0.0.1:{self.port}/"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        arguments = ["--store", str(self.store), "ui", "--port", str(self.port), "--token", TOKEN, "--no-open"]
        self._process = subprocess.Popen(
            [sys.executable, "-m", "refunc", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], PATIENCE)
        assert ready, "the server says no address"
        assert self._process.stdout.readline(), "the server has ended"

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def ask(self, path: str) -> Any:
        request = urllib.request.Request(self.address + path, headers={"Authorization": f"Bearer {TOKEN}"})
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)

    def ids(self) -> dict[str, str]:
        """Return the ids of all runs by their names."""
        return {row["name"]: row["id"] for row in self.ask("api/runs?limit=1000")["rows"]}


class Page:
    """The page in the browser, its texts, and its requests since it was opened."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        self._events: list[dict[str, Any]] = []

    def open(self, server: Server, state: str = "", *, width: int = 1280, height: int = 900, scheme: str = "") -> None:
        """Open the page again, with a state in the fragment of its address."""
        self.driver.get("about:blank")
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        features = [{"name": "prefers-color-scheme", "value": scheme}]
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
        self.requests()
        self._events.clear()
        self.driver.get(f"{server.address}?token={TOKEN}" + (f"#{state}" if state else ""))

    def ask(self, script: str) -> Any:
        """Return the value of an expression."""
        return self.driver.execute_script(f"return {script}")

    def until(self, script: str, wanted: Any = True) -> Any:
        """Wait until an expression is *wanted*, or true if that is not given; return it."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                found = self.ask(script)
            except Exception as error:  # an element is not there yet
                found = error
            if found == wanted or (wanted is True and found and not isinstance(found, Exception)):
                return found
            assert time.monotonic() < deadline, f"{script}\nis {found!r}, not {wanted!r}"
            time.sleep(0.03)

    def find(self, selector: str) -> Any:
        return self.driver.find_element("css selector", selector)

    def click(self, selector: str) -> None:
        from selenium.common.exceptions import StaleElementReferenceException

        self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        try:
            self.find(selector).click()
        except StaleElementReferenceException:  # it was drawn again in between
            self.find(selector).click()

    def type(self, selector: str, text: str, *, enter: bool = False) -> None:
        """Have *text* be that of a field."""
        field = self.find(selector)
        field.clear()
        field.send_keys(text + ("\n" if enter else ""))

    def texts(self, selector: str) -> list[str]:
        found: list[str] = self.ask(
            f"[...document.querySelectorAll({json.dumps(selector)})].filter(e => e.checkVisibility())"
            ".map(e => e.textContent)"
        )
        return found

    def names(self) -> list[str]:
        """Return the names in the table."""
        return self.texts("#table tbody .name a")

    def drawn(self, count: int) -> None:
        """Wait until so many charts have curves."""
        is_drawn = "chart.curves.length && chart.plot && chart.caption.textContent.includes('point')"
        self.until(f"{CHARTS}.filter(chart => {is_drawn}).length", count)

    def drag(self, selector: str, share: float, to: float) -> None:
        """Drag within an element, from one share of its width to another."""
        from selenium.webdriver.common.action_chains import ActionChains

        element = self.find(selector)
        width = element.size["width"]
        move = ActionChains(self.driver, duration=30)
        move.move_to_element_with_offset(element, int(width * (share - 0.5)), 0).click_and_hold()
        move.move_by_offset(int(width * (to - share) / 2), 2)
        move.move_by_offset(int(width * (to - share)) - int(width * (to - share) / 2), 2).release().perform()

    def point(self, selector: str, share: float) -> None:
        from selenium.webdriver.common.action_chains import ActionChains

        element = self.find(selector)
        offset = int(element.size["width"] * (share - 0.5))
        ActionChains(self.driver, duration=10).move_to_element_with_offset(element, offset, 0).perform()

    def choose(self, selector: str, value: str) -> None:
        """Choose an option of a select."""
        self.until(f"document.querySelector({json.dumps(selector)})?.checkVisibility()")
        self.driver.execute_script(
            "const [selector, value] = arguments, select = document.querySelector(selector);"
            "select.value = value; select.dispatchEvent(new Event('change'))",
            selector,
            value,
        )

    def press(self, *keys: str) -> None:
        from selenium.webdriver.common.action_chains import ActionChains
        from selenium.webdriver.common.keys import Keys

        for key in keys:
            ActionChains(self.driver).send_keys(getattr(Keys, key, key)).perform()

    def complaints(self) -> list[str]:
        """Return the messages of the console, but for the answer to an expression that is not valid."""
        said = [entry["message"] for entry in self.driver.get_log("browser")]
        return [text for text in said if "api/runs?where=" not in text or "400 (Bad Request)" not in text]

    def requests(self) -> list[str]:
        """Return the addresses that were asked for since the page was opened."""
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                self._events.append(message["params"])
        return [event["request"]["url"] for event in self._events]

    def faults(self) -> list[str]:
        """Return the serious findings of axe-core."""
        axe = files("axe_selenium_python").joinpath("node_modules/axe-core/axe.min.js").read_text("utf-8")
        self.driver.execute_script(axe)
        found = self.driver.execute_async_script(
            "const done = arguments[arguments.length - 1];"
            "axe.run(document, {resultTypes: ['violations']}).then(found => done(found.violations))"
        )
        return [
            f"{each['id']}: {each['help']}: {[node['html'][:120] for node in each['nodes']][:3]}"
            for each in found
            if each["impact"] in ("serious", "critical")
        ]


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    service = shutil.which("chromedriver")
    if program is None or service is None:
        if os.environ.get("REFUNC_REQUIRE_ALL"):
            pytest.fail("apt-get install -y --no-install-recommends chromium chromium-driver")
        pytest.skip("needs chromium and chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = program
    for argument in (*_ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    found = webdriver.Chrome(options=options, service=Service(service))
    try:
        yield found
    finally:
        found.quit()


@pytest.fixture
def page(driver: Any) -> Page:
    """The page, without remains of the tests before."""
    driver.switch_to.default_content()
    driver.get("about:blank")
    for kind in ("browser", "performance"):
        driver.get_log(kind)
    return Page(driver)


#: Stands before the scripts that write runs.
PRELUDE = """
import math, random, sys, time
from pathlib import Path
from refunc.logging import MLLogger, define_metric, experiment_context
logger = MLLogger("train")
"""


@pytest.fixture(scope="module")
def write(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., None]:
    """Return a function that runs a script which writes runs into a store."""

    def run(store: Path, script: str) -> None:
        code = PRELUDE + textwrap.dedent(script)
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path_factory.mktemp("training"),
            env={**os.environ, "REFUNC_DIR": str(store)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=True,
        )

    return run


@pytest.fixture(scope="module")
def training() -> Iterator[Callable[[Path, str], subprocess.Popen[bytes]]]:
    """Return a function that starts a script which trains; a line to its stdin ends its `wait()`."""
    started: list[subprocess.Popen[bytes]] = []

    def start(store: Path, script: str) -> subprocess.Popen[bytes]:
        code = PRELUDE + "def wait():\n    assert sys.stdin.readline()\n" + textwrap.dedent(script)
        process = subprocess.Popen(
            [sys.executable, "-c", code],
            env={**os.environ, "REFUNC_DIR": str(store)},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        assert process.stdin is not None
        process.stdin.close()


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory, tools: Any) -> Iterator[Callable[[str], Server]]:
    """Return a function that serves a new store, by its name."""
    servers: list[Server] = []

    def serve(name: str) -> Server:
        store = tmp_path_factory.mktemp("stores") / name
        store.mkdir()
        servers.append(Server(store, tools.free_port()))
        servers[-1].start()
        return servers[-1]

    yield serve
    for server in servers:
        server.stop()
