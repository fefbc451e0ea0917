from soda import Refused, SodaAction


class DeleteReplication(SodaAction):
    def act(self, cloud, replication_id=None, name=None, interval=1, within=300):
        try:
            pair = cloud.find("block/replications", replication_id, name)
        except Refused as error:
            if error.code == 404:
                return {"deleted": False}
            raise
        return {"deleted": cloud.remove("block/replications", pair["id"], interval, within, "replicationStatus")}
