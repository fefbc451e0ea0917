from soda import SodaAction


class CreateReplication(SodaAction):
    def act(self, cloud, name, primary_volume_id, secondary_volume_id, interval=1, within=300, **more):
        wanted = {
            "name": name,
            "description": more.get("description", ""),
            "primaryVolumeId": primary_volume_id,
            "secondaryVolumeId": secondary_volume_id,
            "replicationMode": more["mode"],
            "replicationPeriod": more["period"],
            "replicationBandwidth": more["bandwidth"],
            "profileId": more.get("profile_id"),
        }
        same = ["primaryVolumeId", "secondaryVolumeId", "replicationMode"]
        pair = cloud.make("block/replications", wanted, same, "replicationStatus")
        # One that is there may be anywhere in its life; only the beginning is waited for.
        good = ["available", "enabling", "enabled", "disabling", "disabled"]
        good += ["failing_over", "failed_over", "failing_back"]
        return cloud.wait("block/replications", pair["id"], good, interval, within, "replicationStatus")
