from pool_action import PoolAction


class GrowQcow2(PoolAction):
    kind = "qcow2"

    def work(self, pool, size_bytes):
        return self.grow(pool, size_bytes)
