from soda import SodaAction


class UpdateVolume(SodaAction):
    def act(self, cloud, volume_id, **fields):
        return cloud.ask("PUT", f"{cloud.block}/block/volumes/{volume_id}", fields)
