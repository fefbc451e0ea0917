from soda import SodaAction


class EnableReplication(SodaAction):
    def act(self, cloud, replication_id=None, name=None, interval=1, within=3600):
        pair = cloud.find("block/replications", replication_id, name)
        if pair["replicationStatus"] not in ("enabling", "enabled"):
            cloud.ask("POST", f"{cloud.block}/block/replications/{pair['id']}/enable", {})
        return cloud.wait("block/replications", pair["id"], "enabled", interval, within, "replicationStatus")
