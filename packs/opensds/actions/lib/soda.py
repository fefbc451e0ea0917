"""The services of a SODA cloud: hotpot's volumes and gelato's buckets, over HTTP.

An action is a class with `act`, which gets a `Cloud` and what the caller gave:

    class DeleteVolume(SodaAction):
        def act(self, cloud, volume_id): ...

There is no push in these services: what takes time is asked for again and again (`Cloud.wait`), with an interval,
an end, and states that mean failure. What the service says against a call is the action's error, in its words.
"""

import http.client
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ET

from st2common.runners.base_action import Action

# A service that is being restarted may be silent for so many seconds while somebody waits for a state.
SILENCE_SECONDS = 30
SILENT = (OSError, http.client.HTTPException)
# What stands before a service says so meanwhile.
RESTARTING = (502, 503, 504)
# Whatever answers, answers within that.
ANSWER_SECONDS = 30
# Many things take no time: the first looks come quickly, then every `interval` seconds.
FIRST_PAUSE_SECONDS = 0.05
PAGE_ROWS = 100
# The metadata under which a thing has the name of who made it.
OWNER = "ifso_owner"


class Refused(Exception):
    """The service said no, or a thing is not as it should be. `code` is the HTTP status, if there was one."""

    def __init__(self, message, code=None):
        super().__init__(message)
        self.code = code


class SodaAction(Action):
    """What all actions share: where the cloud is, and who asks."""

    def run(self, ip_addr=None, port=None, tenant_id=None, auth_token=None, **given):
        # What nobody gave comes as None; Python's own defaults say what is meant by that.
        given = {name: value for name, value in given.items() if value is not None}
        try:
            return self.act(Cloud(self.config, ip_addr, port, tenant_id, auth_token), **given)
        except Refused as error:
            # One line, without where in the source it was: it is the failure's reason.
            sys.exit(str(error))
        except SILENT as error:
            sys.exit(f"the cloud does not answer: {error}")


class Cloud:
    """One tenant's view of the services."""

    def __init__(self, config, ip_addr=None, port=None, tenant=None, token=None):
        given = f"http://{ip_addr}:{port}" if ip_addr else None
        self.endpoint = given or config.get("endpoint")
        self.objects_endpoint = given or config.get("objects_endpoint") or self.endpoint
        self.tenant = tenant or config.get("tenant")
        self.token = token or config.get("token")

    @property
    def block(self):
        """Where hotpot's paths of this tenant begin."""
        return f"{self.known(self.endpoint)}/v1beta/{self.known(self.tenant)}"

    @property
    def plans(self):
        """Where gelato's paths of this tenant begin."""
        return f"{self.known(self.objects_endpoint)}/v1/{self.known(self.tenant)}"

    @property
    def s3(self):
        """Where buckets are."""
        return f"{self.known(self.objects_endpoint)}/v1/s3"

    def known(self, value):
        if not value:
            raise Refused(
                "where is the cloud? Write `endpoint` and `tenant` into configs/opensds.yaml, "
                "or give `ip_addr`, `port` and `tenant_id`"
            )
        return value.rstrip("/")

    # --- calls --------------------------------------------------------------------------------------

    def call(self, method, url, body=None, kind="application/json"):
        """The answer's bytes."""
        request = urllib.request.Request(url, data=body, method=method)
        request.add_header("Content-Type", kind)
        request.add_header("Accept", "*/*")
        if self.token:
            request.add_header("X-Auth-Token", self.token)
        # A proxy for the world must not see the token.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=ANSWER_SECONDS) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(f"{method} {url}: {error.code}: {spoken(error.read())}", error.code) from None

    def ask(self, method, url, body=None):
        """The answer as JSON."""
        data = None if body is None else json.dumps(body).encode()
        return json.loads(self.call(method, url, data) or b"null")

    def rows(self, path, **filters):
        """All rows of a list that fit."""
        rows = []
        while True:
            query = urllib.parse.urlencode({**filters, "limit": PAGE_ROWS, "offset": len(rows)})
            page = self.ask("GET", f"{self.block}/{path}?{query}") or []
            rows += [lower(row) for row in page]
            if len(page) < PAGE_ROWS:
                # Not every version of the service filters.
                return [row for row in rows if all(row.get(key) == value for key, value in filters.items())]

    def get(self, path, key):
        return lower(self.ask("GET", f"{self.block}/{path}/{key}"))

    def named(self, path, name):
        """The row of that name; None where there is none."""
        rows = self.rows(path, name=name)
        if len(rows) > 1:
            raise Refused(f"{len(rows)} of {path} have the name `{name}`; give an id, or remove one")
        return rows[0] if rows else None

    def find(self, path, key=None, name=None):
        """A row by its id, or else by its name."""
        if key:
            return self.get(path, key)
        row = self.named(path, name)
        if row is None:
            raise Refused(f"none of {path} has the name `{name}`", 404)
        return row

    # --- making, waiting, removing ------------------------------------------------------------------

    def make(self, path, wanted, same=(), field="status"):
        """Creates a thing. One of that name that is there is taken over, unless it differs in one of `same`."""
        found = self.named(path, wanted["name"])
        if found and found.get(field) == "deleting":
            self.gone(path, found["id"])
            found = None
        if found is None:
            return lower(self.ask("POST", f"{self.block}/{path}", wanted))
        for key in same:
            if wanted.get(key) not in (None, "", found.get(key)):
                raise Refused(
                    f"`{wanted['name']}` is there already, with {key} {found.get(key)} where {wanted[key]} is wanted; "
                    "choose another name, or change or remove the one that is there"
                )
        if is_bad(found.get(field)):
            raise Refused(f"`{wanted['name']}` is there already, in state {found[field]}; remove it, then try again")
        print(f"{wanted['name']} is there already")
        return found

    def wait(self, path, key, good="available", interval=1, within=300, field="status"):
        """Waits until a thing is in state `good`, and gives its row. States of failure end it at once."""
        good = [good] if isinstance(good, str) else good
        what = f"{path.split('/')[-1][:-1]} {key}"
        return until(lambda: self.get(path, key), field, good, interval, within, what)

    def gone(self, path, key, interval=1, within=300, field="status"):
        """Waits until a thing is gone."""
        try:
            self.wait(path, key, [], interval, within, field)
        except Refused as error:
            if error.code != 404:
                raise

    def remove(self, path, key, interval=1, within=300, field="status"):
        """Removes a thing, and waits until it is gone. False where it was not there."""
        try:
            self.ask("DELETE", f"{self.block}/{path}/{key}")
        except Refused as error:
            if error.code == 404:
                return False
            raise
        self.gone(path, key, interval, within, field)
        return True


def until(look, field, good, interval, within, what):
    """Looks until `row[field]` is one of `good`."""
    wanted = " or ".join(good) or "that it goes"
    begun = heard = time.monotonic()
    stands = told = None
    pause = FIRST_PAUSE_SECONDS
    while True:
        now = time.monotonic()
        try:
            row, heard = look(), now
            stands = f"{what} is {row.get(field)}"
            said = progress(row) or stands
            if said != told:
                print(said, flush=True)
                told = said
            if row.get(field) in good:
                return row
            if is_bad(row.get(field)):
                raise Refused(f"{what} is in state {row.get(field)}; wanted was {wanted}")
        except SILENT as error:
            if now - heard > SILENCE_SECONDS:
                raise Refused(f"the service is silent for {SILENCE_SECONDS} s: {error}") from None
        except Refused as error:
            if error.code not in RESTARTING or now - heard > SILENCE_SECONDS:
                raise
        if now - begun > within:
            raise Refused(f"{stands or what} after {within} s; wanted was {wanted}")
        pause = min(pause * 2, interval)
        time.sleep(pause)


def is_bad(state):
    """`error`, `errorDeleting`, `error_enabling`, `failed`: nothing becomes of it any more."""
    moves = ("failing_over", "failed_over", "failing_back")
    return state not in moves and str(state).lower().startswith(("error", "fail", "cancel", "terminated"))


def progress(row):
    """How far a job or a replication is, as Ifso hears it."""
    told = row.get("progress")
    if told is None:
        told = (row.get("primaryReplicationDriverData") or {}).get("progress")
    if told is None:
        return None
    state = row.get("replicationStatus") or row.get("status")
    said = f"{row.get('name') or row.get('planName')} is {state}"
    return json.dumps({"progress": min(float(told), 100) / 100, "message": said})


def lower(row):
    """hotpot writes keys of replications as `ReplicationStatus` in one place and `replicationStatus` in another."""
    return {key[:1].lower() + key[1:]: value for key, value in row.items()}


def spoken(text):
    """What a service says against a call."""
    text = text.decode(errors="replace").strip()
    try:
        return json.loads(text)["message"]
    except (ValueError, KeyError, TypeError):
        return text


def message(text):
    """What `Msg` of an answer in XML says."""
    found = ET.fromstring(text).find("Msg")
    return "" if found is None else found.text
