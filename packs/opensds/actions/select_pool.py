from fit import unmet
from soda import Refused, SodaAction


class SelectPool(SodaAction):
    def act(self, cloud, size, availability_zone, prefer, host_id=None, profile_id=None, where=None):
        wishes = {"status": "available", "freeCapacity": f">= {size}"}
        if availability_zone != "default":
            wishes["availabilityZone"] = f"s== {availability_zone}"
        elif host_id:
            zones = cloud.get("host/hosts", host_id)["availabilityZones"]
            wishes["availabilityZone"] = "<or> " + " <or> ".join(zones)
        wishes |= self.of_profile(cloud, profile_id) | (where or {})
        fits, reasons = [], []
        for pool in cloud.rows("pools"):
            reason = unmet(pool, wishes)
            if reason:
                reasons.append(f"{pool['name']}: {reason}")
            else:
                fits.append(pool)
        if not fits:
            raise Refused(f"no pool fits: {'; '.join(reasons) or 'there are none'}")
        if prefer != "first":
            fits.sort(key=lambda pool: pool["freeCapacity"], reverse=prefer == "most_free")
        print(f"{fits[0]['name']} has {fits[0]['freeCapacity']} GB free")
        return fits[0]

    def of_profile(self, cloud, profile_id):
        if not profile_id:
            return {}
        profile = cloud.get("profiles", profile_id)
        wishes = {"storageType": f"s== {profile['storageType']}"} if profile.get("storageType") else {}
        return wishes | (profile.get("customProperties") or {})
