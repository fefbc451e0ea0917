"""Calls to the cloud's services, with the standard library alone."""

import json
import time
import urllib.request
import xml.etree.ElementTree as ET

S3 = "{http://s3.amazonaws.com/doc/2006-03-01}"


class CloudError(Exception):
    """The cloud refused, or a thing ended in a state it should not be in."""


def call(method, url, body=None, token=None, kind="application/json"):
    """The answer's text; what the cloud says where it refuses."""
    data = body.encode() if isinstance(body, str) else body
    if data is None and method == "POST":
        data = b"{}"
    request = urllib.request.Request(url, data=data, method=method)
    request.add_header("Content-Type", kind)
    request.add_header("Accept", kind)
    if token:
        request.add_header("X-Auth-Token", token)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise CloudError(f"{method} {url}: {error.code}: {said}") from None


def ask(method, url, body=None, token=None):
    """The answer as JSON."""
    return json.loads(call(method, url, None if body is None else json.dumps(body), token) or "null")


def message(text):
    """What `Msg` of an answer in XML says."""
    found = ET.fromstring(text).find("Msg")
    return "" if found is None else found.text


def until(state, good, bad, every=0.05, limit=60):
    """Asks `state` until it is `good`; fails where it is one of `bad`, or where that takes `limit` seconds."""
    end = time.monotonic() + limit
    while True:
        now = state()
        if now == good:
            return now
        if now in bad:
            raise CloudError(f"it is {now}; expected {good}")
        if time.monotonic() > end:
            raise CloudError(f"it is still {now} after {limit} s; expected {good}")
        time.sleep(every)
