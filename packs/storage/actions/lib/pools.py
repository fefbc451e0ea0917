"""Pools as configs/storage.yaml describes them. Each kind is a module with `measure`, `grow` and `restore`."""

import difflib
import os

import directory
import ext4
import hotpot
import qcow2
from sizes import to_bytes

KINDS = {"qcow2": qcow2, "ext4": ext4, "directory": directory, "hotpot": hotpot}
# Seconds a volume of an array may take to change.
PATIENCE = 600


class Pool(object):
    def __init__(self, name, written, config):
        self.name = name
        self.kind = written["kind"]
        self.path = written.get("path")
        self.volume = written.get("volume")
        self.min = to_bytes(written["min"]) if written.get("min") is not None else None
        self.max = to_bytes(written["max"]) if written.get("max") is not None else None
        self.tier = written.get("tier")
        self.hotpot = config.get("hotpot") or {}
        self.patience = PATIENCE
        wanted = "volume" if self.kind == "hotpot" else "path"
        if not getattr(self, wanted):
            raise RuntimeError("pool `%s` of kind %s needs a `%s` in configs/storage.yaml" % (name, self.kind, wanted))
        if self.kind == "hotpot" and not self.hotpot.get("url"):
            raise RuntimeError("pool `%s` is on hotpot; write `hotpot: {url: …}` into configs/storage.yaml" % name)
        if self.min is not None and self.max is not None and self.min > self.max:
            raise RuntimeError("pool `%s` has a `min` above its `max` in configs/storage.yaml" % name)

    @property
    def module(self):
        return KINDS[self.kind]

    def measure(self):
        """How large it is and how full, from the storage itself."""
        if self.path and not os.path.exists(self.path):
            raise RuntimeError("there is no `%s`, the path of pool `%s`" % (self.path, self.name))
        total, used = self.module.measure(self)
        found = {"pool": self.name, "kind": self.kind, "tier": self.tier, "total_bytes": total}
        if used is not None:
            # A thin image may hold a little more than its guest sees of it.
            found["used_bytes"] = used
            found["free_bytes"] = max(total - used, 0)
            found["used_pct"] = round(min(used * 100.0 / total, 100.0), 2) if total else 100.0
        return found


def names(config):
    return sorted(config.get("pools") or {})


def find(config, name, kind=None):
    """The pool of this name; of this kind, where an action is for one kind only."""
    written = (config.get("pools") or {}).get(name)
    if written is None:
        near = difflib.get_close_matches(name, names(config), 1)
        hint = "did you mean `%s`?" % near[0] if near else "write it under `pools:`"
        raise RuntimeError("configs/storage.yaml has no pool `%s`; %s" % (name, hint))
    pool = Pool(name, written, config)
    if kind and pool.kind != kind:
        raise RuntimeError("pool `%s` is of kind %s, not %s" % (name, pool.kind, kind))
    return pool
