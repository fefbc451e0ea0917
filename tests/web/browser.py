"""A real Chromium without a window, driven by its own protocol over a pipe: Python's own library, nothing else."""

import base64
import json
import os
import pathlib
import select
import subprocess
import tempfile
import time

PATIENCE = 20  # seconds that anything may take


class Browser:
    def __init__(self, program="chromium"):
        self.folder = tempfile.TemporaryDirectory(prefix="ifso-web-", ignore_cleanup_errors=True)
        to_read, self.to_write = os.pipe()
        self.to_read, to_write = os.pipe()

        def pipes():
            # Both may be 3 or 4 already: move them out of the way first.
            inner, outer = os.dup(to_read), os.dup(to_write)
            inner, outer = (os.dup(inner) if inner in (3, 4) else inner), (os.dup(outer) if outer in (3, 4) else outer)
            os.dup2(inner, 3)
            os.dup2(outer, 4)

        arguments = [program, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     "--no-first-run", "--disable-extensions", "--disable-background-networking", "--remote-debugging-pipe",
                     "--user-data-dir=" + self.folder.name, "about:blank"]
        self.program = subprocess.Popen(arguments, preexec_fn=pipes, close_fds=False,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        os.close(to_read)
        os.close(to_write)
        self.number, self.waiting, self.heard, self.faults = 0, b"", [], []
        target = self.call("Target.createTarget", {"url": "about:blank"}, None)["targetId"]
        self.session = self.call("Target.attachToTarget", {"targetId": target, "flatten": True}, None)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(domain + ".enable")

    def close(self):
        self.program.terminate()
        self.program.wait(10)
        self.folder.cleanup()

    # ── the protocol ─────────────────────────────────────────────────────────────────────────────

    def next(self, until):
        while b"\0" not in self.waiting:
            left = until - time.monotonic()
            if left <= 0 or not select.select([self.to_read], [], [], left)[0]:
                raise TimeoutError("Chromium said nothing for %d s" % PATIENCE)
            self.waiting += os.read(self.to_read, 1 << 16)
        message, self.waiting = self.waiting.split(b"\0", 1)
        return json.loads(message)

    def call(self, method, parameters=None, session="own"):
        self.number += 1
        own = self.number  # answering a dialog in between takes another
        sent = {"id": own, "method": method, "params": parameters or {}}
        if session == "own":
            sent["sessionId"] = self.session
        os.write(self.to_write, json.dumps(sent).encode() + b"\0")
        until = time.monotonic() + PATIENCE
        while True:
            message = self.next(until)
            if message.get("id") == own:
                if "error" in message:
                    raise RuntimeError("%s: %s" % (method, message["error"]))
                return message["result"]
            self.hear(message)

    def hear(self, message):
        method, said = message.get("method"), message.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.faults.append("exception: " + json.dumps(said["exceptionDetails"])[:600])
        elif method == "Log.entryAdded" and said["entry"]["level"] == "error":
            entry = said["entry"]
            if not (entry.get("source") == "network" and "status of 4" in entry["text"]):
                self.faults.append("log: %s %s" % (entry["text"][:300], entry.get("url", "")))
        elif method == "Page.javascriptDialogOpening":
            if said["type"] == "alert":
                self.faults.append("a dialog opened: " + said["message"])
            self.number += 1
            answer = {"id": self.number, "method": "Page.handleJavaScriptDialog", "params": {"accept": True}, "sessionId": self.session}
            os.write(self.to_write, json.dumps(answer).encode() + b"\0")
        else:
            self.heard.append(method)

    # ── what a person does ───────────────────────────────────────────────────────────────────────

    def until(self, what, asked):
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            given = asked()
            if given:
                return given
            time.sleep(0.05)
        raise AssertionError("it did not happen: %s\nat %s\n%s" % (what, self.run("location.href"), self.text()[:1500]))

    def run(self, script):
        """What a script gives; a page that is being left has no answer yet."""
        for _ in range(40):
            try:
                given = self.call("Runtime.evaluate", {"expression": script, "returnByValue": True, "awaitPromise": True})
            except RuntimeError as error:
                if "context" not in str(error):
                    raise
                time.sleep(0.05)
                continue
            if "exceptionDetails" in given:
                raise AssertionError("%s: %s" % (script, given["exceptionDetails"].get("exception", {}).get("description")))
            return given["result"].get("value")
        raise AssertionError("no page to run `%s`" % script)

    def settled(self):
        self.until("the page is there", lambda: self.run("document.readyState === 'complete' && location.href !== 'about:blank'"))

    def go(self, address):
        self.call("Page.navigate", {"url": address})
        self.settled()

    def text(self):
        return self.run("document.body ? document.body.innerText : ''") or ""

    def leaving(self, script):
        """Does something that leads to another page, and waits for that."""
        self.run("window.here = true; void 0")
        self.run(script + "; void 0")
        self.until("another page after `%s`" % script, lambda: not self.run("window.here === true"))
        self.settled()

    def press(self, words, within="main"):
        """Presses the button or follows the link that says `words`."""
        find = "[...document.querySelectorAll(%s + ' button, ' + %s + ' a, ' + %s + ' summary')].find(e => e.innerText.trim() === %s)" % (
            (json.dumps(within),) * 3 + (json.dumps(words),))
        self.until("a button `%s`" % words, lambda: self.run("Boolean(%s)" % find))
        self.leaving(find + ".click()")

    def key(self, *letters):
        for letter in letters:
            for kind in ("keyDown", "keyUp"):
                sent = {"type": kind, "key": letter}
                if kind == "keyDown" and len(letter) == 1:
                    sent["text"] = letter
                self.call("Input.dispatchKeyEvent", sent)

    def fill(self, name, value):
        self.run("document.querySelector('main [name=%s]').value = %s; void 0" % (json.dumps(name), json.dumps(value)))

    # ── how it looks ─────────────────────────────────────────────────────────────────────────────

    def look(self, width, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600})
        self.call("Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme},
                                                              {"name": "prefers-reduced-motion", "value": "reduce"}]})

    def shot(self, file):
        size = self.call("Page.getLayoutMetrics")["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": min(size["height"], 2600), "scale": 1}
        given = self.call("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip})
        pathlib.Path(file).parent.mkdir(parents=True, exist_ok=True)
        pathlib.Path(file).write_bytes(base64.b64decode(given["data"]))
