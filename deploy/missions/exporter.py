"""Writes what one pool of the storage host is like to a file that node_exporter serves, once a second.

    exporter.py POOL OUT    POOL: a directory pool of pack storage; OUT: a *.prom file
"""

import os
import sys
import time


def used(pool):
    files = (os.path.join(folder, name) for folder, _, names in os.walk(pool) for name in names if name[0] != ".")
    return sum(os.lstat(file).st_blocks * 512 for file in files)


def latency(pool):
    """How long a small write takes until it is safe, and what POOL/.slow adds to play a busy array."""
    begin = time.monotonic()
    with open(os.path.join(pool, ".probe"), "w") as probe:
        probe.write("x" * 4096)
        os.fsync(probe.fileno())
    extra = os.path.join(pool, ".slow")
    return time.monotonic() - begin + (float(open(extra).read()) if os.path.exists(extra) else 0.0)


def main(pool, out):
    name = os.path.basename(pool)
    while True:
        quota = open(os.path.join(pool, ".quota")).read().strip()
        with open(out + ".new", "w") as file:
            file.write('pool_size_bytes{pool="%s"} %s\npool_used_bytes{pool="%s"} %d\narray_latency_seconds %f\n'
                       % (name, quota, name, used(pool), latency(pool)))
        os.replace(out + ".new", out)
        time.sleep(1)


if __name__ == "__main__":
    main(*sys.argv[1:])
