from soda import Refused, SodaAction


class ExtendVolume(SodaAction):
    def act(self, cloud, volume_id, size, interval=1, within=300):
        volume = cloud.get("block/volumes", volume_id)
        if volume["size"] != size:
            if volume["status"] != "extending":
                cloud.ask("POST", f"{cloud.block}/block/volumes/{volume_id}/resize", {"newSize": size})
            volume = cloud.wait("block/volumes", volume_id, "available", interval, within)
        # A volume that could not be extended is `available` again, with its old size.
        if volume["size"] != size:
            raise Refused(f"Volume Extend Failed: volume {volume_id} still has {volume['size']} GB; has its pool room?")
        print(f"Volume capacity is extended to {size}GB")
        return volume
