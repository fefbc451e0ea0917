#!/usr/bin/env python3
"""An operator's day in a real Chromium: signs in, finds out why a migration is paused, mends and resumes it, presses
every button, and meets hostile names and outputs on every page.

    tests/web/pages.py --ifso PROGRAM --shots FOLDER

Starts Ifso on a free loopback port with a home of its own and ends it again. Prints one line for each thing that was
looked at; the first that is not as it should be ends it with exit code 1. Screenshots of every page stay in FOLDER.
"""

import argparse
import json
import pathlib
import re
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from browser import Browser  # noqa: E402

HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>\" onmouseover=alert(3) x='"
FILES = {
    "packs/demo/pack.yaml": "ref: demo\nname: demo\ndescription: Shows.\nversion: 1.0.0\nauthor: me\n",
    "packs/demo/triggers/came.yaml": "name: came\npack: demo\ndescription: Somebody came\npayload_schema:\n  type: object\n",
    # What it writes is hostile, and so is its error.
    "packs/demo/actions/speak.yaml": "name: speak\ndescription: Speaks\nrunner_type: local-shell-cmd\nparameters:\n"
    "  cmd:\n    immutable: true\n    default: 'printf \"%s\\n\" \"$WORDS\"; printf \"%s\\n\" \"$WORDS\" >&2; test \"$END\" = good'\n"
    "  env:\n    immutable: true\n    default:\n      WORDS: \"{{ words }}\"\n      END: \"{{ end }}\"\n"
    "  words:\n    type: string\n    default: hello\n    description: What it says\n"
    "  end:\n    type: string\n    default: good\n    enum: [good, bad]\n"
    "  token:\n    type: string\n    secret: true\n",
    "packs/demo/actions/slow.yaml": "name: slow\ndescription: Takes long\nrunner_type: local-shell-cmd\nparameters:\n"
    "  cmd:\n    immutable: true\n    default: 'for i in $(seq 600); do echo line $i; sleep 0.1; done'\n",
    "packs/demo/actions/migrate.yaml": "name: migrate\ndescription: Moves objects\nrunner_type: orquesta\n"
    "entry_point: workflows/migrate.yaml\nparameters:\n  end:\n    type: string\n    default: bad\n",
    "packs/demo/actions/workflows/migrate.yaml": "version: 1.0\ninput: [end]\non_error: pause\ntasks:\n"
    "  look:\n    action: demo.speak\n    next:\n      - when: <% succeeded() %>\n        do: copy\n"
    "  copy:\n    action: demo.speak\n    input:\n      words: cannot write to new:photos, no space left\n      end: <% ctx().end %>\n"
    "    next:\n      - when: <% succeeded() %>\n        do: report\n"
    "  report:\n    action: demo.speak\n    input:\n      words: all moved\n",
    "packs/demo/actions/ask.yaml": "name: ask\ndescription: Asks\nrunner_type: orquesta\nentry_point: workflows/ask.yaml\n",
    "packs/demo/actions/workflows/ask.yaml": "version: 1.0\ntasks:\n  agree:\n    approve:\n      message: 'May it go on?'\n",
    "rules/came.rhai": 'rule("came", #{ about: "Speaks of whoever came", on: "demo.came", when: |e| e.name != "nobody", '
    'then: |e| run("demo.speak", #{ words: e.name }) });\n',
}


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


class Day:
    def __init__(self, program, shots, home):
        self.program, self.shots, self.home = program, pathlib.Path(shots), pathlib.Path(home)
        self.url = "http://127.0.0.1:%d" % free_port()
        for path, text in FILES.items():
            file = self.home / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def __enter__(self):
        log = open(self.home / "log", "wb")
        self.ifso = subprocess.Popen([self.program, "serve", "--home", self.home, "--listen", self.url[7:]],
                                     stdout=log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while not (self.home / "log").read_text().count("ready "):
            if self.ifso.poll() is not None or time.monotonic() > end:
                sys.exit("error: Ifso did not start\n" + (self.home / "log").read_text())
            time.sleep(0.05)
        self.key = (self.home / "data/admin.key").read_text().strip()
        self.browser = Browser()
        return self

    def __exit__(self, *_):
        self.browser.close()
        self.ifso.terminate()
        self.ifso.wait(30)

    # ── asking ───────────────────────────────────────────────────────────────────────────────────

    def api(self, method, path, body=None):
        request = urllib.request.Request(self.url + "/api/v1" + path, method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Authorization": "Bearer " + self.key, "Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.load(answer)

    def run(self, action, **parameters):
        return self.api("POST", "/executions", {"action": action, "parameters": parameters})["id"]

    def stands(self, id, *statuses):
        self.browser.until("%s is %s" % (id, statuses), lambda: self.api("GET", "/executions/" + id)["status"] in statuses)

    def says(self, *words):
        for one in words:
            self.browser.until("the page says `%s`" % one, lambda: one in self.browser.text())

    def sees(self, path, name, *words):
        """A page in every form: light and dark, wide and narrow, each kept as a picture and none wider than its window."""
        for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
            self.browser.look(width, scheme)
            self.browser.go(self.url + path)
            self.says(*words)
            over = self.browser.run("document.documentElement.scrollWidth - document.documentElement.clientWidth")
            assert over <= 0, "%s is %d wider than a window of %d" % (path, over, width)
            self.browser.shot(self.shots / ("%s-%d-%s.png" % (name, width, scheme)))
            self.is_sound(path)
        self.browser.look(1440)
        print("page %s" % name, flush=True)

    def is_sound(self, path):
        wrong = self.browser.run(SOUND)
        assert not wrong, "%s: %s" % (path, wrong)
        assert not self.browser.faults, "%s: %s" % (path, self.browser.faults)

    def sign_in(self, key, path="/"):
        self.browser.go(self.url + path)
        self.browser.fill("key", key)
        self.browser.press("Sign in with the key")


# What a person with a screen reader or a keyboard would stumble over, and markup that came from data.
SOUND = """(() => {
  const wrong = [];
  if (document.querySelectorAll('h1').length !== 1) wrong.push('there is not one h1');
  if (!document.documentElement.lang || !document.title) wrong.push('no language or title');
  for (const e of document.querySelectorAll('input:not([type=hidden]), select, textarea'))
    if (!e.labels?.length && !e.ariaLabel) wrong.push('no label: ' + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll('a, button'))
    if (!e.innerText.trim() && !e.ariaLabel && e.checkVisibility()) wrong.push('no words: ' + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll('img')) if (!e.hasAttribute('alt')) wrong.push('no alt: ' + e.outerHTML.slice(0, 120));
  const ids = [...document.querySelectorAll('[id]')].map(e => e.id);
  for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) wrong.push('twice: #' + id);
  for (const e of document.querySelectorAll('[aria-labelledby]')) if (!document.getElementById(e.getAttribute('aria-labelledby'))) wrong.push('labelled by nothing: ' + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll('[onmouseover], [onerror], main script, img[src="x"], [style]')) wrong.push('markup from data: ' + e.outerHTML.slice(0, 120));
  for (const e of document.querySelectorAll('a[href]')) if (!/^(https?:|$)/.test(e.protocol)) wrong.push('a link to ' + e.href);
  const luminance = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => { v /= 255; return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4; }); return .2126 * r + .7152 * g + .0722 * b; };
  const ground = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|transparent|color\\(|color-mix/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
  for (const e of document.querySelectorAll('main *, .menu a, .mast *')) {
    if (!e.checkVisibility() || ![...e.childNodes].some(n => n.nodeType === 3 && n.data.trim())) continue;
    const [a, b] = [luminance(getComputedStyle(e).color), luminance(ground(e))].sort((x, y) => y - x);
    if ((a + .05) / (b + .05) < 4.5 && !e.matches('.hidden, :disabled')) wrong.push('contrast ' + ((a + .05) / (b + .05)).toFixed(2) + ': ' + e.outerHTML.slice(0, 120));
  }
  return [...new Set(wrong)].slice(0, 12).join('\\n');
})()"""


def door(day):
    browser = day.browser
    browser.go(day.url + "/executions?status=paused")
    day.says("API key")
    browser.shot(day.shots / "login.png")
    browser.fill("key", "key_01m80k3mnhf47rqxhyqrqb27r1." + "0" * 64)
    browser.press("Sign in with the key")
    day.says("the API key is not valid")
    day.is_sound("/login")
    browser.fill("key", day.key)
    browser.press("Sign in with the key")
    assert browser.run("location.pathname + location.search") == "/executions?status=paused"
    assert browser.run("document.cookie") == "", "a script can read the cookie"
    answer = browser.run("fetch('/api/v1/executions').then(a => a.status)")
    assert answer == 401, "the cookie counts for the API: %s" % answer
    browser.faults.clear()
    print("button Sign in", flush=True)


def paused(day):
    """The promise: from the overview alone, why a migration is paused, mended and resumed."""
    id, browser = day.run("demo.migrate"), day.browser
    day.stands(id, "paused")
    browser.go(day.url + "/")
    day.says("Needs a person", "demo.migrate")
    browser.press("demo.migrate")
    day.says("It is paused because task copy failed", "no space left", "Resume")
    day.sees("/executions/" + id, "execution-paused", "It is paused because task copy failed")
    # Resumed without anything mended, it fails and is paused again.
    browser.press("Resume")
    day.says("It goes on.")
    print("button Resume", flush=True)
    day.stands(id, "paused")
    browser.until("the page is true again", lambda: "It is paused because" in browser.text())
    browser.fill("p.end", "good")
    browser.leaving("document.querySelector('form[action$=retry] button').click()")
    day.says("The task is tried again with another end.")
    day.stands(id, "succeeded")
    # The page hears of it without being loaded again.
    day.says("It succeeded.")
    print("button Retry", flush=True)
    browser.fill("p.end", "bad")
    browser.leaving("document.querySelector('form[action$=rerun] button').click()")
    day.says("It runs again: this is the new execution.")
    print("button Run again", flush=True)


def buttons(day):
    browser = day.browser
    for words, said, end in (("Skip the task", "is skipped", "succeeded"), ("Abort", "given up", "failed")):
        id = day.run("demo.migrate")
        day.stands(id, "paused")
        browser.go(day.url + "/executions/" + id)
        browser.press(words)
        day.says(said)
        day.stands(id, end)
        print("button %s" % words, flush=True)
    day.sees("/executions/" + id, "execution-failed", "It failed")
    browser.press("Rerun from what failed")
    day.says("It runs again from there.")
    assert id not in browser.run("location.pathname"), "it is the same execution"
    print("button Rerun from what failed", flush=True)
    again = browser.run("location.pathname").rsplit("/", 1)[1]
    day.stands(again, "paused")
    browser.go(day.url + "/executions/" + id)
    browser.press("Rerun from here")
    day.says("It runs again from there.")
    print("button Rerun from here", flush=True)
    slow = day.run("demo.slow")
    browser.go(day.url + "/executions/" + slow)
    day.says("It runs.", "line 5")
    day.sees("/executions/" + slow, "execution-running", "It runs.", "line 5")
    browser.press("Cancel")
    day.stands(slow, "canceled")
    day.says("It was cancelled")
    print("button Cancel", flush=True)
    migrate = day.run("demo.migrate")
    day.stands(migrate, "paused")
    browser.go(day.url + "/executions/" + migrate)
    browser.press("Cancel")
    day.stands(migrate, "canceled")


def hostile(day):
    """Names, data and output that would be markup, on every page that shows them."""
    browser = day.browser
    event = day.api("POST", "/events", {"trigger": "demo.came", "source": HOSTILE, "subject": HOSTILE, "data": {"name": HOSTILE, HOSTILE: [HOSTILE]}})["id"]
    day.api("POST", "/events", {"trigger": "demo.came", "data": {"name": "nobody"}})
    browser.until("the rule acted", lambda: day.api("GET", "/events/" + event)["executions"])
    led = day.api("GET", "/events/" + event)["executions"][0]
    day.stands(led, "succeeded", "failed")
    day.sees("/events", "events", "demo.came")
    day.sees("/events/" + event, "event", "What the rules decided", "site.came")
    day.sees("/events/%s/why/site.came" % event, "why", "Its condition")
    browser.go(day.url + "/events?text=nobody")
    day.says("1–1 of 1 events")
    bad = day.run("demo.speak", words=HOSTILE, end="bad", token="swordfish-hidden")
    day.stands(bad, "failed")
    day.sees("/executions/" + bad, "execution-hostile", "It failed", "<img src=x")
    assert "swordfish-hidden" not in browser.run("document.documentElement.outerHTML"), "a secret is on the page"
    day.sees("/executions/%s/causes" % led, "causes", "demo.came")
    day.sees("/executions", "executions", "demo.speak")
    day.sees("/executions?parent=any&action=demo.speak&limit=5", "executions-filtered", "Older")
    day.sees("/search?q=speak", "search", "demo.speak")
    for path in ("/executions?action=%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/events/%3Cscript%3Ealert(1)%3C%2Fscript%3E",
                 "/executions/%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/search?q=%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
                 "/nothing/%3Cscript%3Ealert(1)%3C%2Fscript%3E", "/executions?timestamp_gt=%3Cb%3E"):
        browser.go(day.url + path)
        day.is_sound(path)
    browser.go(day.url + "/search?q=" + led)
    assert browser.run("location.pathname") == "/executions/" + led
    day.sees("/", "overview", "Overview", "Needs a person")


def keyboard(day):
    browser = day.browser
    browser.go(day.url + "/")
    browser.run("window.here = true; void 0")
    browser.key("g", "e")
    browser.until("`g e` leads to the executions", lambda: browser.run("location.pathname") == "/executions")
    browser.settled()
    browser.key("/")
    assert browser.run("document.activeElement.id") == "find", "`/` does not lead to the search"
    browser.key("Escape")
    browser.key("j", "j", "k")
    assert browser.run("document.querySelector('tr.at') === document.querySelector('tbody tr')"), "j and k do not move"
    browser.key("?")
    assert browser.run("document.getElementById('help').open"), "`?` shows no help"
    browser.shot(day.shots / "help.png")
    print("keys", flush=True)


def viewer(day):
    """Whoever may only look sees no button that would be refused."""
    browser = day.browser
    browser.go(day.url + "/")
    browser.press("Sign out", ".mast")
    day.says("API key")
    browser.go(day.url + "/executions")
    day.says("API key")
    print("button Sign out", flush=True)
    name = "eye " + HOSTILE
    key = day.api("POST", "/apikeys", {"user": name, "role": "viewer"})["key"]
    id = day.run("demo.migrate")
    day.stands(id, "paused")
    day.sign_in(key, "/executions/" + id)
    day.says("It is paused because task copy failed")
    buttons = browser.run("[...document.querySelectorAll('main button')].map(b => b.innerText).join()")
    assert buttons == "", "a viewer sees " + buttons
    day.is_sound("/executions/" + id)
    browser.shot(day.shots / "viewer.png")
    print("page viewer", flush=True)


def play(words, story):
    """Tells a story to a day of its own; the log, and what the browser found wrong, are judged at the end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ifso", required=True)
    parser.add_argument("--shots", required=True)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home, Day(given.ifso, given.shots, home) as day:
        faults = lambda: "\n".join(line for line in (day.home / "log").read_text().splitlines() if re.search("fault|panic", line))
        try:
            story(day)
        except BaseException:
            print(faults())
            raise
        assert not day.browser.faults, day.browser.faults
        assert not faults(), faults()
    print(words)


def story(day):
    for part in (door, paused, buttons, hostile, keyboard, viewer):
        part(day)


if __name__ == "__main__":
    play("all pages and buttons are as they should be", story)
