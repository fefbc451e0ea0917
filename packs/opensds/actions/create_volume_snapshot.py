from soda import SodaAction


class CreateVolumeSnapshot(SodaAction):
    def act(self, cloud, volume_id, name, description="", profile_id=None, interval=1, within=300):
        wanted = {"name": name, "description": description, "volumeId": volume_id, "profileId": profile_id}
        snapshot = cloud.make("block/snapshots", wanted, ["volumeId"])
        snapshot = cloud.wait("block/snapshots", snapshot["id"], "available", interval, within)
        print(f"Snapshot was created at {snapshot['createdAt']}")
        return snapshot
