from soda import OWNER, SodaAction


class CreateVolume(SodaAction):
    def act(self, cloud, name, size, wait=True, owner=None, interval=1, within=300, **more):
        wanted = {
            "name": name,
            "size": size,
            "description": more["description"],
            "availabilityZone": more["availability_zone"],
            "profileId": more.get("profile_id"),
            "poolId": more.get("pool_id"),
            "snapshotId": more.get("snapshot_id", ""),
            "snapshotFromCloud": more["snapshot_from_cloud"],
            "metadata": {OWNER: owner} if owner else {},
        }
        same = ["size", "snapshotId"] + ["availabilityZone"] * (more["availability_zone"] != "default")
        volume = cloud.make("block/volumes", wanted, same)
        if wait:
            cloud.wait("block/volumes", volume["id"], ["available", "inUse"], interval, within)
        return volume["id"]
