from soda import Refused, SodaAction


class FenceVolume(SodaAction):
    def act(self, cloud, volume_id, interval=1, within=60):
        hosts, reasons = [], []
        for attachment in cloud.rows("block/attachments", volumeId=volume_id):
            hosts.append(attachment["hostId"])
            try:
                cloud.remove("block/attachments", attachment["id"], interval, within)
            except Refused as error:
                reasons.append(f"{attachment['hostId']}: {error}")
        reason = "; ".join(reasons)
        print(reason or f"volume {volume_id} was taken from {', '.join(hosts) or 'nobody'}")
        return {"fenced": not reasons, "hosts": hosts, "reason": reason}
