"""Headless Chromium driven over the pipe of its DevTools protocol, without further packages."""

import base64
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)

FLAGS = (
    "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --remote-debugging-pipe "
    "--disable-background-networking --disable-component-update --disable-sync --hide-scrollbars"
)


class Browser:
    """One tab; what the page told its console is in `console`."""

    def __init__(self, profile):
        theirs, self._write = os.pipe()
        self._read, also_theirs = os.pipe()
        # Chromium reads its descriptor 3 and writes 4, wherever the pipes lie here
        command = f'exec {CHROMIUM} "$@" 3<&{theirs} 4>&{also_theirs}'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "chromium", *FLAGS.split(), f"--user-data-dir={profile}"],
            pass_fds=(theirs, also_theirs),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs)
        os.close(also_theirs)
        self._buffer, self._number, self._session, self.console = b"", 0, None, []
        target = self._send("Target.createTarget", url="about:blank")["targetId"]
        attached = self._send("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self._send(f"{domain}.enable")

    def close(self):
        self._process.kill()
        self._process.wait()
        os.close(self._read)
        os.close(self._write)

    def open(self, path, width=1400, height=900, theme="light", fragment=""):
        """Load a file in a window and wait until its script ran and its pictures are unpacked."""
        self.size(width, height)
        self._send(
            "Emulation.setEmulatedMedia",
            features=[{"name": "prefers-color-scheme", "value": theme}],
        )
        self.console.clear()
        self._send("Page.navigate", url="about:blank")
        self._send("Page.navigate", url=Path(path).resolve().as_uri() + fragment)
        end = time.monotonic() + 60
        while not self.run("location.protocol === 'file:' && document.readyState === 'complete'"):
            assert time.monotonic() < end, "the page did not load"
            time.sleep(0.05)
        # two frames: resize observers and the unpacking behind them are through
        self.run("new Promise(done => requestAnimationFrame(() => setTimeout(done, 300)))")

    def size(self, width, height=900):
        """Set the window's size in CSS pixels."""
        self._send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def run(self, script):
        """Value of an expression of JavaScript in the page."""
        done = self._send(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def press(self, *keys):
        """Press keys by their names, one after the other."""
        texts = {"Enter": "\r", "Space": " "}
        codes = {"Enter": 13, "Tab": 9, "Home": 36}
        codes |= {f"Arrow{side}": 37 + k for k, side in enumerate(("Left", "Up", "Right", "Down"))}
        for key in keys:
            text = texts.get(key, key if len(key) == 1 else "")
            what = {"key": key, "windowsVirtualKeyCode": codes.get(key, 0)}
            self._send("Input.dispatchKeyEvent", type="keyDown", text=text, **what)
            self._send("Input.dispatchKeyEvent", type="keyUp", **what)

    def drag(self, start, end):
        """Press the pointer at one place, move it, and let it go at another."""
        for kind, (x, y) in (("Pressed", start), ("Moved", end), ("Released", end)):
            self._send(
                "Input.dispatchMouseEvent",
                type=f"mouse{kind}",
                x=x,
                y=y,
                button="left",
                buttons=0 if kind == "Released" else 1,
                clickCount=1,
            )

    def screenshot(self, path):
        """Picture of the whole page."""
        picture = self._send("Page.captureScreenshot", captureBeyondViewport=True)
        Path(path).write_bytes(base64.b64decode(picture["data"]))

    def _send(self, method, **params):
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._write, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._receive()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer
                return answer["result"]
            self._note(answer)

    def _receive(self):
        while b"\0" not in self._buffer:
            part = os.read(self._read, 1 << 20)
            assert part, "Chromium ended"
            self._buffer += part
        text, _, self._buffer = self._buffer.partition(b"\0")
        return json.loads(text)

    def _note(self, event):
        params = event.get("params", {})
        if event["method"] == "Runtime.exceptionThrown":
            self.console.append(params["exceptionDetails"])
        elif event["method"] == "Runtime.consoleAPICalled":
            self.console.append(params["args"])
        elif event["method"] == "Log.entryAdded":
            self.console.append(params["entry"])
