from soda import SodaAction


class DeleteVolumeSnapshot(SodaAction):
    def act(self, cloud, snapshot_id, interval=1, within=300):
        return {"deleted": cloud.remove("block/snapshots", snapshot_id, interval, within)}
