from soda import SodaAction


class DisableReplication(SodaAction):
    def act(self, cloud, replication_id=None, name=None, interval=1, within=300):
        pair = cloud.find("block/replications", replication_id, name)
        if pair["replicationStatus"] not in ("disabling", "disabled"):
            cloud.ask("POST", f"{cloud.block}/block/replications/{pair['id']}/disable", {})
        return cloud.wait("block/replications", pair["id"], "disabled", interval, within, "replicationStatus")
