#!/usr/bin/env python3
"""Measures local pools and prints one line each. The pack's configuration comes on standard input."""

import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "actions", "lib"))

import pools  # noqa: E402

SECONDS = {"s": 1, "m": 60, "h": 3600}


def main():
    config = json.loads(sys.stdin.readline())
    every = config.get("every", "30s")
    every = int(every[:-1]) * SECONDS[every[-1]]
    while True:
        for name in pools.names(config):
            tell(config, name)
        # A new configuration ends this program, and starts it again.
        time.sleep(max(every, 1))


def tell(config, name):
    try:
        pool = pools.find(config, name)
        if pool.kind == "hotpot":
            # Of a volume of an array only whoever mounts it knows what is used.
            return
        measured = pool.measure()
    except (RuntimeError, ValueError, OSError) as error:
        # One pool in trouble hides no other; what stands on standard error is in the log.
        print("pool `%s` cannot be measured: %s" % (name, error), file=sys.stderr, flush=True)
        return
    measured.pop("kind")
    print(json.dumps(dict(measured, source="pools")), flush=True)


if __name__ == "__main__":
    main()
