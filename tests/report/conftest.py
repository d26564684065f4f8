"""A real browser: Chromium, headless, spoken to by the DevTools protocol through a pipe."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--remote-debugging-pipe"),
)
#: The DevTools protocol through pipes: the browser reads from descriptor 3 and writes to 4.
_SHELL = 'exec "$0" "$@" 3<&"$READ" 4>&"$WRITE"'


class Page:
    """One page in the browser, and its messages and requests since it was opened."""

    def __init__(self, browser: subprocess.Popen[bytes], to: int, back: int) -> None:
        self.browser = browser
        self._to, self._back = to, back
        self._number = 0
        self._data = b""
        self._session: str | None = None
        self.events: list[dict[str, Any]] = []
        deadline = time.monotonic() + 60
        while not (pages := self._pages()):  # the browser answers before it has opened one
            assert time.monotonic() < deadline, "the browser opens no page"
        self._session = self._call("Target.attachToTarget", targetId=pages[0], flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self._call(f"{domain}.enable")

    def _pages(self) -> list[str]:
        targets = self._call("Target.getTargets")["targetInfos"]
        return [target["targetId"] for target in targets if target["type"] == "page"]

    def open(self, file: Path, *, width: int = 1280, height: int = 900, scheme: str = "light") -> None:
        """Show *file* in a window of that size and colour scheme, and wait until its script has drawn it."""
        is_phone = width < 600
        self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=is_phone
        )
        self._call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
        self.events.clear()
        self._call("Page.navigate", url=file.as_uri())
        deadline = time.monotonic() + 60
        state = "[document.URL, document.readyState, document.documentElement?.dataset.drawn]"
        while self.ask(state) != [file.as_uri(), "complete", "yes"]:  # up to then it may be the page before
            assert time.monotonic() < deadline, f"not drawn: {self.complaints()}"
        # Two frames: by then the observers of sizes have been called.
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))")

    def ask(self, script: str) -> Any:
        """Return the value of *script* in the page."""
        answer = self._call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def move_mouse(self, x: float, y: float) -> None:
        self._call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)

    def click(self, x: float, y: float) -> None:
        for kind in ("mousePressed", "mouseReleased"):
            self._call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def drag(self, x: float, y: float, to_x: float, to_y: float) -> None:
        """Press the button at one place, and release it at another."""
        self._call("Input.dispatchMouseEvent", type="mousePressed", x=x, y=y, button="left", clickCount=1)
        for share in (0.3, 0.7, 1):
            place = {"x": x + (to_x - x) * share, "y": y + (to_y - y) * share}
            self._call("Input.dispatchMouseEvent", type="mouseMoved", button="left", buttons=1, **place)
        self._call("Input.dispatchMouseEvent", type="mouseReleased", x=to_x, y=to_y, button="left", clickCount=1)

    def touch(self, fingers: list[tuple[float, float]], kind: str = "touchStart") -> None:
        """Have fingers at these places; none at the end."""
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(fingers)]
        self._call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    def picture(self, path: Path) -> None:
        """Write a screenshot of the whole page."""
        answer = self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    def complaints(self) -> list[str]:
        """Return the errors and warnings of the console, and the refusals of the policy."""
        found = []
        for event in self.events:
            kind, said = event["method"], event["params"]
            if kind == "Runtime.exceptionThrown":
                found.append(json.dumps(said["exceptionDetails"]))
            elif kind == "Log.entryAdded" or (kind == "Runtime.consoleAPICalled" and said["type"] != "log"):
                found.append(json.dumps(said))
        return found

    def requests(self) -> list[str]:
        """Return the addresses that the page has asked for, without those that stand in it."""
        asked = [event["params"] for event in self.events if event["method"] == "Network.requestWillBeSent"]
        return [event["request"]["url"] for event in asked if not event["request"]["url"].startswith("data:")]

    def _call(self, method: str, **params: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                result: dict[str, Any] = answer["result"]
                return result
            self.events.append(answer)

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._data:
            ready, _, _ = select.select([self._back], [], [], 60)
            assert ready, "the browser does not answer"
            part = os.read(self._back, 1 << 20)
            assert part, "the browser has ended"
            self._data += part
        message, _, self._data = self._data.partition(b"\0")
        answer: dict[str, Any] = json.loads(message)
        return answer


@pytest.fixture(scope="session")
def _browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page | None]:
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        yield None
        return
    read, to = os.pipe()
    back, write = os.pipe()
    folder = tmp_path_factory.mktemp("browser")
    process = subprocess.Popen(
        ["bash", "-c", _SHELL, program, *_ARGUMENTS, f"--user-data-dir={folder / 'profile'}", "about:blank"],
        env={**os.environ, "READ": str(read), "WRITE": str(write), "HOME": str(folder)},
        pass_fds=(read, write),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(read)
    os.close(write)
    try:
        yield Page(process, to, back)
    finally:
        os.close(to)  # at which the browser ends
        os.close(back)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def browser(_browser: Page | None, require: Callable[[bool, str], None]) -> Page:
    require(_browser is not None, "apt-get install -y --no-install-recommends chromium")
    assert _browser is not None
    return _browser


@pytest.fixture(autouse=True)
def leaves_nothing(clean_process: None) -> None:
    """Have `clean_process` for every test."""
