from soda import SodaAction


class UpdateVolumeSnapshot(SodaAction):
    def act(self, cloud, snapshot_id, **fields):
        return cloud.ask("PUT", f"{cloud.block}/block/snapshots/{snapshot_id}", fields)
