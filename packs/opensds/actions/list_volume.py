import json

from soda import SodaAction


class ListVolume(SodaAction):
    def act(self, cloud, **filters):
        volumes = cloud.rows("block/volumes", **filters)
        print(json.dumps(volumes))
        return volumes
