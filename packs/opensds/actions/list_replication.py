from soda import SodaAction


class ListReplication(SodaAction):
    def act(self, cloud, zone=None, state=None):
        pairs = cloud.rows("block/replications", **({"replicationStatus": state} if state else {}))
        if zone:
            here = {volume["id"] for volume in cloud.rows("block/volumes", availabilityZone=zone)}
            pairs = [pair for pair in pairs if pair["primaryVolumeId"] in here]
        return pairs
