from pool_action import PoolAction


class MeasurePool(PoolAction):
    def work(self, pool):
        # What the storage itself says, and beside it what scaling has to know of the pool.
        return dict(
            pool.measure(),
            min_bytes=pool.min,
            max_bytes=pool.max,
            unit_bytes=pool.module.UNIT,
            never_smaller=pool.module.SHRINKS,
        )
