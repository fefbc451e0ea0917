from soda import SodaAction


class ListAttachment(SodaAction):
    def act(self, cloud, volume_id=None, host_id=None):
        wanted = {"volumeId": volume_id, "hostId": host_id}
        return cloud.rows("block/attachments", **{key: value for key, value in wanted.items() if value})
