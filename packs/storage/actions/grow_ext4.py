from pool_action import PoolAction


class GrowExt4(PoolAction):
    kind = "ext4"

    def work(self, pool, size_bytes):
        return self.grow(pool, size_bytes)
