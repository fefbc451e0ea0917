from soda import SodaAction


class UpdateReplication(SodaAction):
    def act(self, cloud, replication_id, bandwidth):
        url = f"{cloud.block}/block/replications/{replication_id}"
        return cloud.ask("PUT", url, {"replicationBandwidth": bandwidth})
