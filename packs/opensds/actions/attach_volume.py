from soda import OWNER, SodaAction, is_bad


class AttachVolume(SodaAction):
    def act(self, cloud, volume_id, host_id, attach_mode="rw", owner=None, wait=True, interval=1, within=300):
        wanted = {
            "volumeId": volume_id,
            "hostId": host_id,
            "tenantId": cloud.tenant,
            "attachMode": attach_mode,
            "metadata": {OWNER: owner} if owner else {},
        }
        there = cloud.rows("block/attachments", volumeId=volume_id, hostId=host_id)
        there = [row for row in there if row["attachMode"] == attach_mode and not is_bad(row["status"])]
        attachment = there[0] if there else cloud.ask("POST", f"{cloud.block}/block/attachments", wanted)
        if wait:
            attachment = cloud.wait("block/attachments", attachment["id"], "available", interval, within)
        print(f"volume {volume_id} is attached to {host_id}")
        return attachment
