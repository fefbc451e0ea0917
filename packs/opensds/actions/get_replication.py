from soda import SodaAction


class GetReplication(SodaAction):
    def act(self, cloud, replication_id=None, name=None):
        return cloud.find("block/replications", replication_id, name)
