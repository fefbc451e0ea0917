"""Pools that are volumes of hotpot. It extends them by whole GiB, and only while nobody has them attached."""

import json
import time
import urllib.error
import urllib.request

UNIT = 1 << 30
SHRINKS = "hotpot cannot make a volume smaller"
# What a volume does while it changes; in any other state nothing is to be waited for.
UNDER_WAY = ("extending", "creating")
EVERY = 1


def measure(pool):
    """hotpot does not know what is used of a volume; whoever mounts it does."""
    return volume(pool)["size"] * UNIT, None


def grow(pool, size):
    wanted = -(-size // UNIT)
    found = settled(pool)
    if found["size"] >= wanted:
        return
    if found["status"] != "available":
        raise RuntimeError("volume `%s` is %s; only an available one can be extended: detach it first" % (pool.volume, found["status"]))
    call(pool, "POST", "/resize", {"newSize": wanted})
    found = settled(pool)
    # After a failure it is available again as if nothing had been.
    if found["status"] != "available" or found["size"] < wanted:
        raise RuntimeError("hotpot did not extend volume `%s`: it is %s with %s GiB" % (pool.volume, found["status"], found["size"]))


def restore(pool, size):
    if volume(pool)["size"] * UNIT <= size:
        return False
    raise RuntimeError(SHRINKS)


def settled(pool):
    """The volume once it has stopped changing."""
    end = time.monotonic() + pool.patience
    while True:
        found = volume(pool)
        if found["status"] not in UNDER_WAY:
            return found
        if time.monotonic() >= end:
            raise RuntimeError("volume `%s` is still %s after %d s" % (pool.volume, found["status"], pool.patience))
        time.sleep(EVERY)


def volume(pool):
    return call(pool, "GET", "")


def call(pool, method, below, body=None):
    site = pool.hotpot
    url = "%s/v1beta/%s/block/volumes/%s%s" % (site["url"].rstrip("/"), site.get("tenant", "admin"), pool.volume, below)
    request = urllib.request.Request(url, method=method, headers={"Content-Type": "application/json"})
    if site.get("token"):
        request.add_header("X-Auth-Token", site["token"])
    if body is not None:
        request.data = json.dumps(body).encode()
    # The array is on this network: a proxy for the world must not see the token.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        said = error.read().decode("utf-8", "replace")
        raise RuntimeError("hotpot answers %d to %s %s: %s" % (error.code, method, url, said[:300]))
    except (urllib.error.URLError, OSError) as error:
        raise RuntimeError("hotpot cannot be reached at %s: %s" % (url, getattr(error, "reason", error)))
