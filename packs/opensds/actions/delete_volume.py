from soda import OWNER, Refused, SodaAction, until


class DeleteVolume(SodaAction):
    def act(self, cloud, volume_id=None, name=None, owner=None, detach=False, interval=1, within=300):
        try:
            volume = cloud.find("block/volumes", volume_id, name)
        except Refused as error:
            if error.code == 404:
                return {"deleted": False, "reason": "it is not there"}
            raise
        if owner and (volume.get("metadata") or {}).get(OWNER) != owner:
            return {"deleted": False, "reason": "somebody else made it"}
        if volume["status"] in ("creating", "attaching"):
            states = ["available", "inUse", "error"]
            until(lambda: cloud.get("block/volumes", volume["id"]), "status", states, interval, within, volume["name"])
        for attachment in cloud.rows("block/attachments", volumeId=volume["id"]) if detach else []:
            cloud.remove("block/attachments", attachment["id"], interval, within)
        return {"deleted": cloud.remove("block/volumes", volume["id"], interval, within)}
