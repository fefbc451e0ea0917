from soda import OWNER, SodaAction


class DeleteAttachment(SodaAction):
    def act(self, cloud, attachment_id, owner=None, interval=1, within=300):
        if owner and not self.is_ours(cloud, attachment_id, owner):
            return {"deleted": False, "reason": "somebody else made it, or it is not there"}
        return {"deleted": cloud.remove("block/attachments", attachment_id, interval, within)}

    def is_ours(self, cloud, attachment_id, owner):
        rows = cloud.rows("block/attachments", id=attachment_id)
        return any((row.get("metadata") or {}).get(OWNER) == owner for row in rows)
