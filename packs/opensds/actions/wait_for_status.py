from soda import SodaAction


class WaitForStatus(SodaAction):
    def act(self, cloud, id, kind="volume", status="available", interval=1, within=300):
        field = "replicationStatus" if kind == "replication" else "status"
        return cloud.wait(f"block/{kind}s", id, status, interval, within, field)
