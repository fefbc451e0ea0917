from soda import SodaAction


class DeleteVolumeGroup(SodaAction):
    def act(self, cloud, group_id, interval=1, within=300):
        return {"deleted": cloud.remove("block/volumeGroups", group_id, interval, within)}
