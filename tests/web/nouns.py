#!/usr/bin/env python3
"""The pages of what people wrote and what waits for them, in a real Chromium: inquiries are answered by forms, a rule
is looked through, backtested and released, an incident taken and resolved, an action run, a secret kept and shown once.

    tests/web/nouns.py --ifso PROGRAM --shots FOLDER

As `pages.py`, with a home of its own.
"""

import json
import sys
import pathlib

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import pages  # noqa: E402
from pages import HOSTILE, play  # noqa: E402

QUOTED = json.dumps(HOSTILE)
pages.FILES.update({
    "packs/demo/actions/decide.yaml": "name: decide\ndescription: Asks a person\nrunner_type: orquesta\nentry_point: workflows/decide.yaml\n",
    "packs/demo/actions/workflows/decide.yaml": "version: 1.0\ntasks:\n  choose:\n    action: core.ask\n    input:\n"
    "      message: How shall the pool grow?\n      ttl: 90\n      schema:\n        type: object\n        properties:\n"
    "          grow: {type: boolean, required: true, position: 0, description: Whether to grow it}\n"
    "          size_gib: {type: integer, minimum: 1, position: 1, description: By how much, default: 10}\n"
    "          pool: {type: string, enum: [fast, slow], position: 2}\n"
    "          labels: {type: object, position: 3, description: Beside it}\n"
    "          pin: {type: string, secret: true, position: 4}\n",
    "packs/demo/actions/closed.yaml": "name: closed\ndescription: Asks somebody else\nrunner_type: orquesta\nentry_point: workflows/closed.yaml\n",
    "packs/demo/actions/workflows/closed.yaml": "version: 1.0\ntasks:\n  sure:\n    approve:\n      message: Only for eve\n      users: [eve]\n",
    "packs/demo/actions/wide.yaml": "name: wide\ndescription: %s\nrunner_type: local-shell-cmd\nparameters:\n"
    "  cmd:\n    immutable: true\n    default: 'echo done'\n"
    "  count:\n    type: integer\n    required: true\n    description: How many\n    position: 0\n"
    "  mode:\n    type: string\n    enum: [fast, slow]\n    default: slow\n"
    "  sure:\n    type: boolean\n    default: false\n"
    "  tags:\n    type: array\n    default: [a, b]\n"
    "  password:\n    type: string\n    secret: true\n    default: swordfish-default\n" % QUOTED,
    "packs/broken/pack.yaml": "ref: broken\nname: broken\ndescription: Has a mistake\nversion: 1.0.0\nauthor: me\n",
    "packs/broken/actions/wrong.yaml": "name: wrong\ndescription: Wrong\nrunner_type: locl-shell-cmd\n",
    "rules/many.rhai": "// Too many of them are kept back.\n"
    'rule("many", #{ about: "Runs into its budget", on: "demo.many", budget: #{ count: 2, per: "1h" }, then: |e| run("demo.speak", #{ words: "one" }) });\n',
    "rules/trouble.rhai": 'rule("trouble", #{ about: ' + QUOTED + ', on: "demo.trouble", per: |e| e.pool, hold: "1h", when: |e| e.bad == true, then: |e| log("held") });\n'
    'rule("open", #{ on: "demo.trouble", then: |e| incident(e.pool, #{ title: `pool ${e.pool} is full`, severity: "critical" }) });\n'
    'rule("fails", #{ on: "demo.trouble", then: |e| throw "broken on purpose" });\n'
    'rule("watches", #{ on: "demo.trouble", shadow: true, then: |e| log("seen") });\n'
    'rule("off", #{ on: "demo.trouble", enabled: false, then: |e| log("seen") });\n',
    "sensors/nightly.yaml": "kind: cron\nexpression: \"30 2 * * *\"\nzone: Europe/Prague\ndescription: Every night\ndata: { job: nightly }\n",
    "sensors/beat.yaml": "kind: interval\nevery: 1s\ndescription: A sign of life\n",
    "sensors/feed.yaml": "kind: poll\nurl: http://127.0.0.1:9/nothing\nkey: $.id\nevery: 1s\ntrigger: demo.many\n",
})


def inquiries(day):
    browser = day.browser
    browser.go(day.url + "/inquiries")
    day.says("Nothing waits for an answer.")
    id = day.run("demo.decide")
    other = day.run("demo.closed")
    browser.until("two questions wait", lambda: len(day.api("GET", "/inquiries")) == 2)
    day.sees("/inquiries", "inquiries", "How shall the pool grow?", "Only for eve", "eve")
    asked = {one["message"]: one["id"] for one in day.api("GET", "/inquiries")}
    question = "/inquiries/" + asked["How shall the pool grow?"]
    day.sees(question, "inquiry", "Your answer", "Whether to grow it", "Expires")
    # What does not fit is said beside what was typed.
    browser.run("document.querySelector('main form').noValidate = true; document.querySelector('[name=\"p.grow\"][value=true]').checked = true; void 0")
    browser.fill("p.size_gib", "0")
    browser.fill("p.labels", "{\"a\": 1}")
    browser.press("Answer")
    day.says("size_gib")
    assert browser.run("document.querySelector('[name=\"p.size_gib\"]').value") == "0", "what was typed is gone"
    assert browser.run("document.querySelector('[name=\"p.labels\"]').value") == "{\"a\": 1}"
    day.is_sound(question)
    browser.fill("p.size_gib", "7")
    browser.fill("p.pin", "swordfish-pin")
    browser.press("Answer")
    day.says("Your answer is taken", "Answered by")
    day.stands(id, "succeeded")
    given = day.api("GET", question)["response"]
    assert given["grow"] is True and given["size_gib"] == 7 and given["labels"] == {"a": 1}, given
    assert "swordfish-pin" not in browser.run("document.documentElement.outerHTML"), "a secret answer is on the page"
    day.sees("/inquiries/" + asked["Only for eve"], "inquiry-closed", "This question is not for you", "eve")
    assert browser.run("document.querySelectorAll('main button').length") == 0
    print("button Answer", flush=True)
    sure = day.run("demo.ask")
    browser.until("a question waits", lambda: any("May it go on?" == one["message"] for one in day.api("GET", "/inquiries")))
    mine = next(one["id"] for one in day.api("GET", "/inquiries") if one["message"] == "May it go on?")
    browser.go(day.url + "/inquiries/" + mine)
    browser.until("it can be answered", lambda: browser.run("Boolean(document.querySelector('main form button'))"))
    browser.shot(day.shots / "inquiry-yes.png")
    browser.leaving("document.querySelector('main form button').click()")
    day.stands(sure, "succeeded", "failed")
    print("button Yes", flush=True)


def rules(day):
    browser = day.browser
    for number in range(4):
        day.api("POST", "/events", {"trigger": "demo.many", "data": {"number": number}})
    trouble = day.api("POST", "/events", {"trigger": "demo.trouble", "data": {"pool": HOSTILE, "bad": True}})["id"]
    browser.until("it is in quarantine", lambda: day.api("GET", "/rules/site.many").get("quarantined"))
    browser.until("one is held", lambda: day.api("GET", "/rules/site.trouble/memory"))
    browser.until("one fails", lambda: day.api("GET", "/rules/site.fails").get("last_error"))
    day.sees("/rules", "rules", "site.many", "quarantined", "shadow", "disabled")
    browser.go(day.url + "/rules?trigger=demo.trouble")
    day.says("site.trouble")
    assert "site.many" not in browser.text()
    day.sees("/rules/site.fails", "rule-fails", "Its last error", "Source")
    assert browser.run("document.querySelectorAll('.source .line.wrong').length") == 1, "no line is marked"
    day.sees("/rules/site.trouble", "rule", "It is in force", "What it remembers", "holding")
    assert browser.run("document.querySelector('.source').innerText.includes('rule(\"trouble\"')")
    day.sees("/rules/site.trouble?event=" + trouble, "rule-explain", "Every part of its condition")
    browser.press("Every part of its condition")
    day.says("Its condition")
    day.sees("/rules/site.trouble?event=evt_nothing", "rule-explain-wrong", "Explain")
    browser.go(day.url + "/rules/site.trouble")
    browser.press("Forget")
    browser.until("it forgets", lambda: not day.api("GET", "/rules/site.trouble/memory"))
    print("button Forget", flush=True)
    day.sees("/rules/site.many", "rule-quarantined", "It is in quarantine", "Release")
    browser.press("Release, throw away what was kept")
    browser.until("it is released", lambda: not day.api("GET", "/rules/site.many").get("quarantined"))
    print("button Release", flush=True)
    browser.go(day.url + "/rules/site.many")
    browser.press("Backtest")
    day.sees("/rules/site.many/backtest?since=1h", "backtest", "Would have fired", "demo.speak")
    browser.go(day.url + "/rules/site.many/backtest?since=%3Cscript%3Ealert(1)%3C%2Fscript%3E")
    day.says("neither a span nor a time")
    day.is_sound("/backtest")
    print("button Backtest", flush=True)


def incidents(day):
    browser = day.browser
    browser.until("an incident is open", lambda: day.api("GET", "/incidents"))
    id = day.api("GET", "/incidents")[0]["id"]
    day.sees("/incidents", "incidents", "is full", "critical", "Acknowledge")
    day.sees("/incidents/" + id, "incident", "nobody has taken it yet", "Its story", "Who was told")
    browser.fill("for", "soon")
    browser.press("Acknowledge")
    browser.until("it is refused", lambda: browser.run("Boolean(document.querySelector('.word.bad'))"))
    browser.fill("for", "2h")
    browser.press("Acknowledge")
    day.says("is at it, and took it", "It is open again")
    browser.press("Resolve")
    day.says("It ended")
    day.sees("/incidents?state=all", "incidents-all", "resolved")
    print("button Acknowledge, Resolve", flush=True)


def actions(day):
    browser = day.browser
    day.sees("/actions", "actions", "demo.wide", "core.noop")
    browser.go(day.url + "/actions?pack=demo")
    assert "core.noop" not in browser.text()
    day.sees("/actions/demo.wide", "action", "How many", "Run it")
    assert "swordfish-default" not in browser.run("document.documentElement.outerHTML"), "a secret default is on the page"
    browser.fill("p.count", "many")
    browser.press("Run")
    browser.until("it is refused", lambda: browser.run("Boolean(document.querySelector('.word.bad'))"))
    assert browser.run("document.querySelector('[name=\"p.count\"]').value") == "many"
    browser.fill("p.count", "3")
    browser.fill("p.password", "swordfish-typed")
    browser.press("Run")
    id = browser.run("location.pathname").rsplit("/", 1)[1]
    assert id.startswith("exe_"), browser.run("location.href")
    day.stands(id, "succeeded")
    given = day.api("GET", "/executions/" + id)["parameters"]
    assert given["count"] == 3 and given["password"] == "********", given
    day.sees("/actions/demo.migrate", "action-workflow", "Graph")
    print("button Run", flush=True)


def watches(day):
    browser = day.browser
    browser.until("the feed is away", lambda: day.api("GET", "/sensors/site.feed")["health"]["state"] == "waiting")
    browser.until("it beats", lambda: day.api("GET", "/sensors/site.beat")["health"]["events"] > 1)
    day.sees("/sensors", "sensors", "site.feed", "waiting", "site.beat")
    day.sees("/sensors/site.beat", "sensor", "It runs; it began", "every 1s", "core.tick")
    day.sees("/sensors/site.feed", "sensor-waiting", "Its source went away")
    browser.press("Restart")
    day.says("starts anew")
    print("button Restart", flush=True)
    late = day.api("POST", "/executions", {"action": "demo.speak", "delay": 3600000})["id"]
    day.stands(late, "delayed")
    day.sees("/schedules", "schedules", "site.nightly", "30 2 * * *", "Tomorrow", "Left out", "demo.speak")
    assert browser.run("document.querySelectorAll('.day a[href=\"/sensors/site.nightly\"]').length") >= 6
    given = day.api("GET", "/schedules?count=3&until=30d")
    nightly = next(one for one in given if one["ref"] == "site.nightly")
    assert len(nightly["times"]) == 3 and nightly["more"] is True, nightly
    day.sees("/packs", "packs", "broken", "locl-shell-cmd")
    day.sees("/packs/demo", "pack", "demo.wide", "Actions", "Triggers")
    day.sees("/packs/broken", "pack-broken", "packs/broken/actions/wrong.yaml")


def secrets(day):
    browser = day.browser
    browser.go(day.url + "/keys")
    browser.run("document.querySelector('main details.act').open = true; void 0")
    browser.fill("name", "site/" + HOSTILE)
    browser.fill("value", HOSTILE)
    browser.press("Write")
    day.says("is written")
    browser.run("document.querySelector('main details.act').open = true; document.querySelector('[name=is_secret]').checked = true; void 0")
    browser.fill("name", "pin")
    browser.fill("secret", "swordfish-kept")
    browser.press("Write")
    day.says("Key pin is written")
    day.sees("/keys", "keys", "pin", "secret")
    assert "swordfish-kept" not in browser.run("document.documentElement.outerHTML"), "a secret is on the page"
    browser.press("Show once")
    day.says("swordfish-kept")
    browser.shot(day.shots / "key-shown.png")
    browser.go(day.url + "/keys")
    assert "swordfish-kept" not in browser.text(), "it is shown twice"
    print("button Write, Show once", flush=True)
    browser.press("Remove")
    day.says("is removed")
    browser.go(day.url + "/apikeys")
    browser.run("document.querySelector('main details.act').open = true; void 0")
    browser.fill("user", "robot " + HOSTILE)
    browser.fill("ttl", "30d")
    browser.fill("note", HOSTILE)
    browser.run("document.querySelector('[name=role][value=viewer]').checked = true; void 0")
    browser.press("Make")
    day.says("Shown this once")
    key = browser.run("document.querySelector('.once').innerText").strip()
    browser.shot(day.shots / "apikey-shown.png")
    day.sees("/apikeys", "apikeys", "viewer", "Switch off")
    assert key not in browser.text(), "a key is shown twice"
    browser.leaving("[...document.querySelectorAll('main tr')].find(row => row.innerText.includes('robot')).querySelector('form button').click()")
    day.says("opens nothing from now on")
    browser.leaving("[...document.querySelectorAll('main tr')].find(row => row.innerText.includes('robot')).querySelector('form button').click()")
    day.says("is good again")
    print("button Make, Switch off, Switch on", flush=True)
    return key


def people(day):
    browser = day.browser
    browser.go(day.url + "/people")
    browser.run("document.querySelector('main details.act').open = true; void 0")
    browser.fill("name", "eve")
    browser.fill("password", "swordfish-first-1")
    browser.fill("grants", "run action:demo.*")
    browser.press("Add")
    day.says("User eve is there", "run action:demo.*")
    browser.run("document.querySelector('main details.act').open = true; void 0")
    browser.fill("name", HOSTILE)
    browser.press("Add")
    assert "no user" not in browser.text()
    day.is_sound("/people")
    day.sees("/people", "people", "eve", "viewer", "Switch off")
    browser.press("Switch off")
    day.says("is switched off")
    browser.press("Switch on")
    day.says("is switched on again")
    # Of two passwords that differ nothing is set.
    browser.run("""(() => { const form = document.querySelector('form[action="/people/eve/password"]');
      form.password.value = 'swordfish-other-2'; form.secret.value = 'swordfish-othre-2'; })(); void 0""")
    browser.leaving("document.querySelector('form[action=\"/people/eve/password\"] button').click()")
    day.says("the two passwords are not the same")
    assert "swordfish" not in browser.run("document.documentElement.outerHTML"), "a password is on the page"
    day.sees("/me", "me", "What you may do", "Your password")
    print("button Add, Switch off, Switch on", flush=True)


def audit(day):
    """Who changed what, and that nobody changed that."""
    day.sees("/audit", "audit", "Every call that may have changed something", "POST /api/v1/apikeys", "admin", "done")
    day.browser.go(day.url + "/audit?outcome=denied")
    day.says("Outcome")
    day.browser.press("Verify")
    day.says("lines are as they were written")
    print("button Verify", flush=True)


def viewer(day, key):
    """Whoever may only look sees every page and no button; what is the administrators' is not in the menu."""
    browser = day.browser
    incident = day.api("GET", "/incidents?state=all")[0]["id"]
    browser.go(day.url + "/")
    browser.press("Sign out", ".mast")
    day.says("API key")
    day.sign_in(key, "/rules")
    day.says("site.many")
    assert "API keys" not in browser.run("document.getElementById('menu').innerText")
    for path in ("/rules/site.trouble", "/incidents/" + incident, "/incidents", "/sensors", "/sensors/site.beat", "/actions/demo.wide",
                 "/packs", "/packs/demo", "/keys", "/schedules", "/inquiries"):
        browser.go(day.url + path)
        buttons = browser.run("[...document.querySelectorAll('main form[method=post] button')].map(b => b.innerText).join()")
        assert buttons == "", "a viewer sees `%s` at %s" % (buttons, path)
        day.is_sound(path)
    browser.go(day.url + "/apikeys")
    day.says("may not administer")
    browser.faults.clear()
    print("page viewer", flush=True)


def story(day):
    day.sign_in(day.key, "/inquiries")
    for part in (inquiries, rules, incidents, actions, watches, people):
        part(day)
    key = secrets(day)
    audit(day)
    viewer(day, key)


if __name__ == "__main__":
    play("all of these pages and buttons are as they should be", story)
