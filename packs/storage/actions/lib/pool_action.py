"""What the actions on one pool have in common: expected trouble becomes a sentence, not a traceback."""

import pools
from st2common.runners.base_action import Action


class PoolAction(Action):
    # The kind of pool that the action is for; None: all.
    kind = None

    def run(self, pool, **given):
        try:
            return self.work(pools.find(self.config, pool, self.kind), **given)
        except (RuntimeError, ValueError, OSError) as error:
            return False, {"error": str(error)}

    def grow(self, pool, size_bytes):
        """To an exact size, so that doing it twice does no harm."""
        before = pool.measure()["total_bytes"]
        if pool.max is not None and size_bytes > pool.max:
            raise RuntimeError("pool `%s` may have %d bytes at most, not %d" % (pool.name, pool.max, size_bytes))
        pool.module.grow(pool, size_bytes)
        return dict(pool.measure(), before_bytes=before)
