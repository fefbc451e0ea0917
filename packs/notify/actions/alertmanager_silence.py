"""A channel for programs: give it `acks: true`. An incident that is acknowledged is silenced by its
labels; when it is over its silence ends. The silence's comment names the incident, so that doing it
twice makes one silence."""

import datetime
import json
import urllib.request

from st2common.runners.base_action import Action


class Silence(Action):
    def run(self, hours, subject, text, notice):
        url = (self.config.get("alertmanager") or {}).get("url", "http://127.0.0.1:9093")
        self.api = url.rstrip("/") + "/api/v2"
        kind, incidents = notice.get("kind"), notice.get("incidents") or []
        if kind not in ("acknowledged", "recovered"):
            return {"silences": 0}
        active = {
            silence["comment"]: silence["id"]
            for silence in self.call("GET", "/silences")
            if silence["status"]["state"] != "expired"
        }
        done = 0
        for one in incidents:
            known = active.get(one["id"])
            if kind == "recovered" and known:
                self.call("DELETE", f"/silence/{known}")
                done += 1
            elif kind == "acknowledged" and not known and one["labels"]:
                self.call("POST", "/silences", silence(one, hours))
                done += 1
        return {"silences": done}

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(self.api + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            read = answer.read()
        return json.loads(read) if read.strip() else None


def silence(one, hours):
    now = datetime.datetime.now(datetime.timezone.utc)
    return {
        "matchers": [
            {"name": name, "value": value, "isRegex": False, "isEqual": True}
            for name, value in sorted(one["labels"].items())
        ],
        "startsAt": now.isoformat(),
        "endsAt": (now + datetime.timedelta(hours=hours)).isoformat(),
        "createdBy": one.get("acknowledged_by") or "ifso",
        "comment": one["id"],
    }
