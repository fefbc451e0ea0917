"""Pools that are qcow2 images: what a guest may store, and what it has stored."""

import json

from programs import held, run

UNIT = 1 << 20
SHRINKS = "a guest's file system would lose its end"


def measure(pool):
    # --force-share: a guest may have it open, and only looking harms nobody.
    described = json.loads(run("qemu-img", "info", "-U", "--output=json", pool.path))
    if described["format"] != "qcow2":
        raise RuntimeError("`%s` is %s, and pool `%s` says qcow2" % (pool.path, described["format"], pool.name))
    used = sum(part["length"] for part in extents(pool))
    return described["virtual-size"], used


def grow(pool, size):
    with held(pool.path):
        if measure(pool)[0] < size:
            run("qemu-img", "resize", "-q", "-f", "qcow2", pool.path, str(size))


def restore(pool, size):
    """Takes back a growth, as long as nobody wrote into what it gave."""
    with held(pool.path):
        if measure(pool)[0] <= size:
            return False
        if any(part["start"] + part["length"] > size for part in extents(pool)):
            raise RuntimeError("`%s` holds data in what was added: it stays as large as it is" % pool.path)
        run("qemu-img", "resize", "-q", "--shrink", "-f", "qcow2", pool.path, str(size))
        return True


def extents(pool):
    """Where there are data."""
    listed = json.loads(run("qemu-img", "map", "-U", "-f", "qcow2", "--output=json", pool.path))
    return [part for part in listed if part["data"]]
