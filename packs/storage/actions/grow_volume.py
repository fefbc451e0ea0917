from pool_action import PoolAction


class GrowVolume(PoolAction):
    kind = "hotpot"

    def work(self, pool, size_bytes):
        return self.grow(pool, size_bytes)
