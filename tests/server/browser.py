"""A headless Chromium, driven by WebDriver: what a page shows, and what it does that it should not."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import peers

TIME_LIMIT_S = 90

_ARGUMENTS = (
    "--headless",
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1200,900",
)
_ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # WebDriver's key for a reference to an element


class Browser:
    """One session; its logs tell what went wrong on the pages and which requests they made."""

    def __init__(self, server: str, binary: str, profile: Path) -> None:
        # Not the system's proxies, whatever a test runner has in its environment.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        self._base = f"{server}/session"
        options = {"binary": binary, "args": [*_ARGUMENTS, f"--user-data-dir={profile}"]}
        wanted = {
            "browserName": "chrome",
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        session = self._call("POST", "", {"capabilities": {"alwaysMatch": wanted}})
        self._base += f"/{session['sessionId']}"

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        data = None if method != "POST" else json.dumps(body or {}).encode()
        request = urllib.request.Request(self._base + path, data=data, method=method)
        request.add_header("Content-Type", "application/json")
        with self._opener.open(request, timeout=TIME_LIMIT_S) as answer:
            return json.load(answer)["value"]

    def open(self, url: str) -> None:
        """Open a page and wait until it is loaded."""
        self._call("POST", "/url", {"url": url})

    def close(self) -> None:
        self._call("DELETE", "")

    @property
    def url(self) -> str:
        url: str = self._call("GET", "/url")
        return url

    @property
    def title(self) -> str:
        title: str = self._call("GET", "/title")
        return title

    def script(self, text: str) -> Any:
        """Run a script as a debugger does, which the page's policy does not hold back."""
        return self._call("POST", "/execute/sync", {"script": text, "args": []})

    def texts(self, selector: str) -> list[str]:
        """What a person reads in the elements that a selector finds."""
        return [self._call("GET", f"/element/{one}/text") for one in self._find(selector)]

    def click(self, selector: str) -> None:
        """Click the first element."""
        self._call("POST", f"/element/{self._find(selector)[0]}/click")

    def follow(self, text: str) -> None:
        """Click the link with this text."""
        body = {"using": "link text", "value": text}
        link = self._call("POST", "/element", body)[_ELEMENT]
        self._call("POST", f"/element/{link}/click")

    @property
    def selection(self) -> str:
        """What a person would copy now."""
        text: str = self.script("return getSelection().toString()")
        return text

    def role(self, selector: str) -> str:
        """What a screen reader takes the first element for."""
        role: str = self._call("GET", f"/element/{self._find(selector)[0]}/computedrole")
        return role

    def width(self, pixels: int, *, dark: bool = False) -> None:
        """Show pages as on a screen of this width, in light or dark colours."""
        metrics = {"width": pixels, "height": 900, "deviceScaleFactor": 1, "mobile": pixels < 600}
        self._develop("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._develop("Emulation.setEmulatedMedia", {"features": [scheme]})

    def picture(self) -> str:
        """Return a picture of the whole page as base64 of a PNG."""
        data: str = self._develop("Page.captureScreenshot", {"captureBeyondViewport": True})["data"]
        return data

    def _develop(self, command: str, parameters: Any) -> Any:
        return self._call("POST", "/goog/cdp/execute", {"cmd": command, "params": parameters})

    def complaints(self) -> list[str]:
        """What the console says since the last time."""
        return [entry["message"] for entry in self._call("POST", "/se/log", {"type": "browser"})]

    def requests(self) -> list[str]:
        """The URLs that were asked for since the last time."""
        entries = self._call("POST", "/se/log", {"type": "performance"})
        events = [json.loads(entry["message"])["message"] for entry in entries]
        return [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]

    def _find(self, selector: str) -> list[str]:
        found = self._call("POST", "/elements", {"using": "css selector", "value": selector})
        return [one[_ELEMENT] for one in found]


@contextmanager
def running_browser(folder: Path) -> Iterator[Browser]:
    """Run a browser with an empty profile in `folder`."""
    program, binary = peers.require("chromedriver"), peers.require("chromium")
    log = folder / "log"
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [program, "--port=0"],
            stdout=output,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        browser = Browser(_address(process, log), binary, folder / "profile")
        try:
            yield browser
        finally:
            browser.close()
    finally:
        os.killpg(process.pid, signal.SIGKILL)  # with whatever it started
        process.wait(TIME_LIMIT_S)


def _address(process: "subprocess.Popen[bytes]", log: Path) -> str:
    deadline = time.monotonic() + TIME_LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"started successfully on port (\d+)", log.read_text(errors="replace"))
        if found:
            return f"http://127.0.0.1:{found[1]}"
        time.sleep(0.02)
    raise AssertionError(f"chromedriver does not start:\n{log.read_text(errors='replace')}")
