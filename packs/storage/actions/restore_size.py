from pool_action import PoolAction


class RestoreSize(PoolAction):
    def work(self, pool, size_bytes):
        restored = pool.module.restore(pool, size_bytes)
        return dict(pool.measure(), restored=restored)
