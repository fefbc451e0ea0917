"""Pools that are directories. Their quota stands in PATH/.quota, in bytes; whoever writes there keeps
to it, or an agent of yours sets it as a project quota of the file system.
"""

import os

from programs import held
from sizes import to_bytes, to_text

UNIT = 1 << 20
# It can be made smaller, down to what is used.
SHRINKS = None


def measure(pool):
    used = 0
    for folder, _, files in os.walk(pool.path, onerror=_raise):
        for name in files:
            path = os.path.join(folder, name)
            if path == file(pool):
                continue
            try:
                found = os.lstat(path)
            except FileNotFoundError:
                continue  # It was removed while we looked.
            # As du counts: a file with holes uses what it has on disk.
            used += found.st_blocks * 512
    return quota(pool), used


def quota(pool):
    try:
        with open(file(pool)) as text:
            return to_bytes(text.read().strip())
    except FileNotFoundError:
        if pool.min is None:
            raise RuntimeError("pool `%s` has no quota: give it a `min`, or write one into `%s`" % (pool.name, file(pool)))
        return pool.min


def grow(pool, size):
    """Sets the quota, also to less; never to less than what is used."""
    with held(pool.path):
        used = measure(pool)[1]
        if size < used:
            raise RuntimeError("pool `%s` uses %s, more than %s" % (pool.name, to_text(used), to_text(size)))
        # Written aside and renamed: nobody ever reads half a number.
        with open(file(pool) + ".new", "w") as text:
            text.write("%d\n" % size)
            text.flush()
            os.fsync(text.fileno())
        os.replace(file(pool) + ".new", file(pool))


def restore(pool, size):
    if quota(pool) == size:
        return False
    grow(pool, size)
    return True


def file(pool):
    return os.path.join(pool.path, ".quota")


def _raise(error):
    raise error
