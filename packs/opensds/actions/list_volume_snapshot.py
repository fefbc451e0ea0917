from soda import SodaAction


class ListVolumeSnapshot(SodaAction):
    def act(self, cloud, volume_id=None):
        return cloud.rows("block/snapshots", **({"volumeId": volume_id} if volume_id else {}))
