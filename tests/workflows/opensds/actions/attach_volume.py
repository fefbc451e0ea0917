from lib.cloud import ask
from st2common.runners.base_action import Action


class AttachVolume(Action):
    def run(self, ip_addr, port, tenant_id, volume_id, host_id, attach_mode=None, auth_token=None):
        wanted = {
            "volumeId": volume_id,
            "hostId": host_id,
            "tenantId": tenant_id,
            "attachMode": attach_mode or "rw",
        }
        attachments = f"http://{ip_addr}:{port}/v1beta/{tenant_id}/block/attachments"
        ask("POST", attachments, wanted, auth_token)
        print(f"volume {volume_id} is attached to {host_id}")
