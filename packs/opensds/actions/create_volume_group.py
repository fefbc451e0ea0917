from soda import SodaAction


class CreateVolumeGroup(SodaAction):
    def act(self, cloud, name, interval=1, within=300, **more):
        wanted = {
            "name": name,
            "description": more.get("description", ""),
            "availabilityZone": more.get("availability_zone"),
            "profiles": more.get("profiles", []),
            "addVolumes": more.get("add_volumes", []),
        }
        group = cloud.make("block/volumeGroups", wanted, ["availabilityZone"])
        return cloud.wait("block/volumeGroups", group["id"], "available", interval, within)
