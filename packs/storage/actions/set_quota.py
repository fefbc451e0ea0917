from pool_action import PoolAction


class SetQuota(PoolAction):
    kind = "directory"

    def work(self, pool, size_bytes):
        return self.grow(pool, size_bytes)
