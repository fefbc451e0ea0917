from soda import SodaAction


class FailoverReplication(SodaAction):
    def act(self, cloud, replication_id=None, name=None, back=False, interval=1, within=3600, **more):
        pair = cloud.find("block/replications", replication_id, name)
        good, doing = ("enabled", "failing_back") if back else ("failed_over", "failing_over")
        if pair["replicationStatus"] not in (good, doing):
            # hotpot tells the two directions apart by this word.
            wanted = {
                "secondaryBackendId": more.get("secondary_backend_id", "primary") if back else "default",
                "allowAttachedVolume": more.get("allow_attached_volume", False),
            }
            cloud.ask("POST", f"{cloud.block}/block/replications/{pair['id']}/failover", wanted)
        return cloud.wait("block/replications", pair["id"], good, interval, within, "replicationStatus")
