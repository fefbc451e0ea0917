from soda import SodaAction


class CreateVolumeGroup(SodaAction):
    def act(self, cloud, name, description="", availability_zone=None, profiles=(), add_volumes=(), interval=1, within=300):
        wanted = {
            "name": name,
            "description": description,
            "availabilityZone": availability_zone,
            "profiles": list(profiles),
            "addVolumes": list(add_volumes),
        }
        group = cloud.make("block/volumeGroups", wanted, ["availabilityZone"])
        return cloud.wait("block/volumeGroups", group["id"], "available", interval, within)
