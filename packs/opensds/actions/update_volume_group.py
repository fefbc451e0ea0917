from soda import SodaAction


class UpdateVolumeGroup(SodaAction):
    def act(self, cloud, group_id, add_volumes=(), remove_volumes=(), **fields):
        fields |= {"addVolumes": list(add_volumes), "removeVolumes": list(remove_volumes)}
        return cloud.ask("PUT", f"{cloud.block}/block/volumeGroups/{group_id}", fields)
