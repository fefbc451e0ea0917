"""PagerDuty's Events API v2: one event for each incident. `dedup_key` is the incident's id, so that an
event that is sent twice, and the end of an incident, find what the first one opened."""

import json
import urllib.request

from st2common.runners.base_action import Action

ACTIONS = {"acknowledged": "acknowledge", "recovered": "resolve"}
# PagerDuty takes so many characters of a summary.
SUMMARY = 1024


class PagerDuty(Action):
    def run(self, subject, text, routing_key, notice):
        url = (self.config.get("pagerduty") or {}).get("url")
        kind = notice.get("kind", "message")
        incidents = notice.get("incidents") or []
        if not incidents:
            # A message of `notify(…)`: an event of its own that nothing ends.
            incidents = [{"title": subject or text, "severity": notice.get("severity", "info")}]
        for one in incidents:
            self.send(url, event(routing_key, kind, one, text))
        return {"sent": len(incidents)}

    def send(self, url, event):
        url = url or "https://events.pagerduty.com/v2/enqueue"
        body = json.dumps(event).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        # An answer of 400 or more is an exception, and the action is tried again.
        with urllib.request.urlopen(request, timeout=30) as answer:
            answer.read()


def event(routing_key, kind, one, text):
    made = {"routing_key": routing_key, "event_action": ACTIONS.get(kind, "trigger")}
    if "id" in one:
        made["dedup_key"] = one["id"]
    if made["event_action"] == "trigger":
        made["payload"] = {
            "summary": one["title"][:SUMMARY],
            "severity": one["severity"],
            "source": one.get("source") or "ifso",
            "custom_details": {"labels": one.get("labels", {}), "text": text},
        }
        if one.get("opened"):
            made["payload"]["timestamp"] = one["opened"]
    return made
