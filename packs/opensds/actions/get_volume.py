from soda import SodaAction


class GetVolume(SodaAction):
    def act(self, cloud, volume_id=None, name=None):
        return cloud.find("block/volumes", volume_id, name)
