from lib.cloud import ask, until
from st2common.runners.base_action import Action


class CreateVolume(Action):
    def run(self, ip_addr, port, tenant_id, name, size, auth_token=None, **more):
        volumes = f"http://{ip_addr}:{port}/v1beta/{tenant_id}/block/volumes"
        wanted = {
            "name": name,
            "size": size,
            "description": more.get("description") or "Volume creation",
            "availabilityZone": more.get("availability_zone") or "default",
            "profileId": more.get("profile_id"),
            "snapshotId": more.get("snapshot_id") or "",
            "snapshotFromCloud": more.get("snapshot_from_cloud") or False,
        }
        volume = ask("POST", volumes, wanted, auth_token)["id"]
        # The cloud refuses to attach a volume that is still being created.
        until(
            lambda: ask("GET", f"{volumes}/{volume}", token=auth_token)["status"],
            good="available",
            bad=["error"],
        )
        return volume
