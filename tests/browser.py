"""Headless Chromium driven over the DevTools protocol, as far as the tests of the page need it."""

import base64
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from websockets.sync.client import connect

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = """
--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking
--disable-component-update --disable-sync --disable-dev-shm-usage --mute-audio --hide-scrollbars
--autoplay-policy=no-user-gesture-required --remote-debugging-port=0
"""
_ONLY_HERE = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"


class Page:
    """A tab: run JavaScript in it, look at it, and see what it asked for and complained of.

    Attributes:
        requests: addresses of every request and WebSocket.
        complaints: errors and warnings of console, scripts and network.
    """

    def __init__(self, address: str) -> None:
        self._socket = connect(address, max_size=None, legacy=True, proxy=None)
        self._n_sent = 0
        self._session: str | None = None
        self.requests: list[str] = []
        self.complaints: list[str] = []
        target = self.send("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.send("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.send(f"{domain}.enable")

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        """A command's result."""
        self._n_sent += 1
        number = self._n_sent
        command = {"id": number, "method": method, "params": parameters}
        self._socket.send(json.dumps(command | ({"sessionId": self._session} if self._session else {})))
        while (message := json.loads(self._socket.recv(timeout=30))).get("id") != number:
            self._note(message)
        assert "error" not in message, f"{method}: {message['error']}"
        return message["result"]

    def _note(self, message: dict[str, Any]) -> None:
        event, about = message.get("method"), message.get("params", {})
        if event == "Network.requestWillBeSent":
            self.requests.append(about["request"]["url"])
        elif event == "Network.webSocketCreated":
            self.requests.append(about["url"])
        elif event == "Runtime.exceptionThrown":
            self.complaints.append(json.dumps(about["exceptionDetails"]))
        elif event == "Runtime.consoleAPICalled" and about["type"] in ("error", "warning", "assert"):
            self.complaints.append(json.dumps(about["args"]))
        elif event == "Log.entryAdded" and about["entry"]["level"] in ("error", "warning"):
            self.complaints.append(json.dumps(about["entry"]))

    def run(self, script: str) -> Any:
        """The value of an expression; a promise is waited for."""
        options = {"awaitPromise": True, "returnByValue": True, "userGesture": True}
        result = self.send("Runtime.evaluate", expression=script, **options)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    def wait(self, script: str, limit_s: float = 15.0) -> Any:
        """The value of an expression as soon as it is true."""
        end = time.monotonic() + limit_s
        while not (value := self.run(script)):
            assert time.monotonic() < end, f"not within {limit_s} s: {script}; complaints: {self.complaints}"
            time.sleep(0.05)
        return value

    def open(self, url: str) -> None:
        """Go there, and wait until the page is ready."""
        self.send("Page.navigate", url=url)
        self.wait("document.body?.dataset.ready")

    def click(self, selector: str) -> None:
        """Click with the mouse in the middle of an element."""
        box = f"document.querySelector({json.dumps(selector)}).getBoundingClientRect().toJSON()"
        self.run(f"document.querySelector({json.dumps(selector)}).scrollIntoView({{block: 'center'}})")
        place = self.run(box)
        where = {"x": place["x"] + place["width"] / 2, "y": place["y"] + place["height"] / 2, "button": "left"}
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, clickCount=1, **where)

    def press(self, key: str) -> None:
        """Press a key where the focus is."""
        text = {"text": key} if len(key) == 1 else {}
        for kind in ("keyDown", "keyUp"):
            self.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, **(text if kind == "keyDown" else {}))

    def choose(self, selector: str, path: Path) -> None:
        """Put a file into a file input."""
        root = self.send("DOM.getDocument")["root"]["nodeId"]
        node = self.send("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.send("DOM.setFileInputFiles", files=[str(path)], nodeId=node)

    def resize(self, width: int, height: int, scale: float = 1, dark: bool = False) -> None:
        """Set the size of the window and the colour scheme the user prefers."""
        size = {"width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 500}
        self.send("Emulation.setDeviceMetricsOverride", **size)
        scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        self.send("Emulation.setEmulatedMedia", features=scheme)

    def picture(self, path: Path) -> None:
        """Write the whole page as a PNG."""
        shot = self.send("Page.captureScreenshot", captureBeyondViewport=True, format="png")
        path.write_bytes(base64.b64decode(shot["data"]))


@contextmanager
def browse(folder: Path, *flags: str) -> Iterator[Page]:
    """A tab of a fresh Chromium that can reach this machine alone.

    Args:
        folder: of its profile, new.
        flags: more of Chromium's.
    """
    assert CHROMIUM is not None
    command = [CHROMIUM, *_FLAGS.split(), _ONLY_HERE, f"--user-data-dir={folder}", *flags]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        page = Page(_address(folder, process))
        yield page
        page.send("Browser.close")
        page._socket.close()
        process.wait(10)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def _address(folder: Path, process: "subprocess.Popen[bytes]") -> str:
    """Where the browser takes commands; it writes that down once it is ready."""
    file, end = folder / "DevToolsActivePort", time.monotonic() + 30
    while not (file.is_file() and len(lines := file.read_text().split()) == 2):
        assert process.poll() is None, f"Chromium ended with {process.returncode}"
        assert time.monotonic() < end, "Chromium does not start within 30 s"
        time.sleep(0.05)
    return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
