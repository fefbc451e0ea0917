"""Volumes as SODA's hotpot serves them: its paths, its states, and what it refuses.

Whatever takes time is done aside, and ends in a good state or a bad one. What was created is answered with 202
and the row as it is then.
"""

import re
import sys
import threading
import time
import traceback
import uuid
from datetime import datetime, timezone

from qsd import Array, Trouble

NAME = re.compile(r"[a-zA-Z0-9 _-]{1,255}\Z")
MOVING = {"creating", "deleting", "enabling", "disabling", "failing_over", "failing_back"}
# The secondary volume is the one that is written to.
OVER = {"failed_over", "failing_back", "error_failing_back"}
# A mirror that has not caught up by then never will.
SYNC_SECONDS = 600
MEGABIT = 1_000_000 // 8
# How often a call that waits for a state looks.
LOOK_SECONDS = 0.02


class Refused(Exception):
    """What the caller is told, with the status."""

    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


def now():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")


class Control:
    """What tests want to go wrong, and what was asked."""

    def __init__(self):
        self.failures, self.delays = [], {}
        self.changes, self.tokens = [], set()

    def planned(self, what, how):
        """Whether the next `what` is to fail `how`: `refuse` (the call) or `error` (the work)."""
        for failure in self.failures:
            if failure["what"] == what and failure.get("how", "error") == how:
                failure["count"] = failure.get("count", 1) - 1
                if failure["count"] <= 0:
                    self.failures.remove(failure)
                return failure.get("message") or f"told to fail at {what}"
        return None

    def work(self, what, row, field, task, good, bad, otherwise=None):
        """Does `task` aside; then `row[field]` is `good`, or `bad` and `otherwise` is done."""

        def run():
            time.sleep(self.delays.get(what, self.delays.get("*", 0)))
            try:
                failure = self.planned(what, "error")
                if failure:
                    raise Trouble(failure)
                task()
                row[field] = good
            except Exception as error:  # whatever it is: the row must say so
                if not isinstance(error, Trouble):
                    traceback.print_exc()
                print(f"{what} {row.get('id')}: {error}", file=sys.stderr, flush=True)
                if otherwise:
                    otherwise()
                row[field] = bad
            row["updatedAt"] = now()

        threading.Thread(target=run, daemon=True).start()


class Hotpot:
    """The volumes of all zones."""

    def __init__(self, folder, zones, pool_gb, control):
        self.control, self.lock = control, threading.RLock()
        self.arrays = {zone: Array(folder, zone) for zone in zones}
        self.default = zones[0]
        kinds = "volumes attachments snapshots replications volumeGroups hosts profiles".split()
        self.rows = {kind: {} for kind in kinds}
        self.pool_gb = pool_gb
        self.add("profiles", {"name": "default", "storageType": "block"})
        for at, zone in enumerate(zones, 1):
            self.add("hosts", {"hostName": f"host-{at}", "availabilityZones": [zone]}, f"host-{at}")

    def routes(self):
        block = r"/v1beta/([^/]+)/block/"
        routes = [
            ("POST", block + "volumes", self.create_volume),
            ("POST", block + "volumes/([^/]+)/resize", self.resize),
            ("DELETE", block + "volumes/([^/]+)", self.delete_volume),
            ("POST", block + "attachments", self.attach),
            ("DELETE", block + "attachments/([^/]+)", self.detach),
            ("POST", block + "snapshots/?", self.create_snapshot),
            ("DELETE", block + "snapshots/([^/]+)", self.delete_snapshot),
            ("POST", block + "replications", self.create_replication),
            ("GET", block + "replications/detail", lambda call, tenant: (200, self.listed("replications", call, str))),
            ("POST", block + "replications/([^/]+)/enable", self.enable),
            ("POST", block + "replications/([^/]+)/disable", self.disable),
            ("POST", block + "replications/([^/]+)/failover", self.failover),
            ("PUT", block + "replications/([^/]+)", self.update_replication),
            ("DELETE", block + "replications/([^/]+)", self.delete_replication),
            ("POST", block + "volumeGroups", self.create_group),
            ("PUT", block + "volumeGroups/([^/]+)", self.update_group),
            ("DELETE", block + "volumeGroups/([^/]+)", self.delete_group),
            ("POST", r"/v1beta/([^/]+)/host/hosts", self.create_host),
            ("POST", r"/v1beta/([^/]+)/profiles", self.create_profile),
            ("GET", r"/v1beta/([^/]+)/pools", lambda call, tenant: (200, list(self.pools().values()))),
            ("GET", r"/v1beta/([^/]+)/pools/([^/]+)", lambda call, tenant, key: (200, self.found(self.pools(), key))),
            ("GET", r"/v1beta/([^/]+)/availabilityZones", lambda call, tenant: (200, list(self.arrays))),
        ]
        for kind in self.rows:
            prefix = {"hosts": "host/", "profiles": ""}.get(kind, "block/")
            path = rf"/v1beta/([^/]+)/{prefix}{kind}"
            # hotpot writes the keys of replications large here, and small elsewhere.
            style = (lambda key: key[0].upper() + key[1:]) if kind == "replications" else str
            routes += [
                ("GET", path + "/?", lambda call, tenant, k=kind, s=style: (200, self.listed(k, call, s))),
                ("GET", path + "/([^/]+)", lambda call, tenant, key, k=kind, s=style: (200, self.shown(k, self.row(k, key), s))),
            ]
            if kind not in ("replications", "volumeGroups"):
                routes.append(("PUT", path + "/([^/]+)", lambda call, tenant, key, k=kind: self.update(k, key, call)))
            if kind in ("hosts", "profiles"):
                routes.append(("DELETE", path + "/([^/]+)", lambda call, tenant, key, k=kind: self.drop(k, key)))
        return routes

    # --- rows ---------------------------------------------------------------------------------------

    def add(self, kind, fields, key=None):
        row = {"id": key or uuid.uuid4().hex, "createdAt": now(), "updatedAt": ""} | fields
        self.rows[kind][row["id"]] = row
        return row

    def found(self, rows, key):
        if key not in rows:
            raise Refused(404, f"there is no `{key}`")
        return rows[key]

    def row(self, kind, key):
        return self.found(self.rows[kind], key)

    def shown(self, kind, row, style=str):
        if kind == "replications":
            self.look_at(row)
        # What begins with `_` is ours.
        return {style(key): value for key, value in row.items() if not key.startswith("_")}

    def listed(self, kind, call, style):
        query = dict(call.query)
        limit, offset = int(query.pop("limit", 50)), int(query.pop("offset", 0))
        order, down = query.pop("sortKey", "createdAt"), query.pop("sortDir", "desc") == "desc"
        rows = [row for row in self.rows[kind].values() if all(str(row.get(key)) == value for key, value in query.items())]
        rows.sort(key=lambda row: str(row.get(order)), reverse=down)
        return [self.shown(kind, row, style) for row in rows[offset : offset + limit]]

    def drop(self, kind, key):
        self.row(kind, key)
        del self.rows[kind][key]
        return 200, None

    def update(self, kind, key, call):
        row = self.row(kind, key)
        fields = {
            "volumes": ("name", "description", "metadata"), "attachments": ("attachMode", "metadata"),
            "hosts": ("osType", "ip", "availabilityZones", "initiators"), "profiles": ("name", "description", "customProperties"),
        }.get(kind, ("name", "description"))
        for field in fields:
            if field in call.json:
                value = call.json[field]
                row[field] = {**row.get(field, {}), **value} if field == "metadata" else value
        row["updatedAt"] = now()
        return 200, self.shown(kind, row)

    def wanted(self, kind, call, **more):
        """The name of what is to be made; refuses what a test wants refused."""
        failure = self.control.planned(kind, "refuse")
        if failure:
            raise Refused(500, failure)
        name = call.json.get("name")
        if not isinstance(name, str) or not NAME.match(name):
            raise Refused(400, "invalid name: it must match ^[a-zA-Z0-9 _-]+$ and have at most 255 characters")
        return {"name": name, "description": call.json.get("description") or ""} | more

    # --- pools and volumes --------------------------------------------------------------------------

    def pools(self):
        pools = {}
        for zone, array in self.arrays.items():
            volumes = [row for row in self.rows["volumes"].values() if row["availabilityZone"] == zone]
            held = sum(row["size"] for row in volumes)
            used = sum(array.used_bytes(row["id"]) for row in volumes)
            pools[f"pool-{zone}"] = {
                "id": f"pool-{zone}", "name": f"pool-{zone}", "status": "available" if array.alive() else "unavailable",
                "dockId": f"dock-{zone}", "availabilityZone": zone, "storageType": "block", "multiAttach": False,
                "totalCapacity": self.pool_gb, "freeCapacity": self.pool_gb - held, "consumedCapacity": held,
                "replicationType": "ArrayBased", "replicationDriverName": "qsd",
                "extras": {
                    "dataStorage": {"provisioningPolicy": "Thin", "compression": False, "deduplication": False},
                    "ioConnectivity": {"accessProtocol": "nbd"}, "advanced": {"usedBytes": used},
                },
            }
        return pools

    def array(self, volume):
        return self.arrays[volume["availabilityZone"]]

    def has_room(self, zone, more_gb):
        if self.pools()[f"pool-{zone}"]["freeCapacity"] < more_gb:
            raise Trouble(f"pool-{zone} has no room for {more_gb} GB")

    def create_volume(self, call, tenant):
        wanted = self.wanted("volume", call)
        size, zone = call.json.get("size"), call.json.get("availabilityZone") or "default"
        if not isinstance(size, int) or size <= 0:
            raise Refused(400, "invalid size: it must be more than 0")
        zone = self.default if zone == "default" else zone
        if zone not in self.arrays:
            raise Refused(400, f"there is no availability zone `{zone}`")
        snapshot = call.json.get("snapshotId") or ""
        if snapshot:
            like = self.row("snapshots", snapshot)
            if like["status"] != "available" or like["size"] > size or like["_zone"] != zone:
                raise Refused(400, f"snapshot `{snapshot}` is not available, larger than {size} GB, or elsewhere")
        row = self.add("volumes", wanted | {
            "tenantId": tenant, "userId": "", "size": 0, "availabilityZone": zone, "status": "creating", "poolId": f"pool-{zone}",
            "profileId": call.json.get("profileId") or next(iter(self.rows["profiles"])), "metadata": call.json.get("metadata") or {},
            "snapshotId": snapshot, "snapshotFromCloud": False, "multiAttach": False, "replicationId": "", "groupId": "",
        })

        def make():
            with self.lock:
                self.has_room(zone, size)
                row["size"] = size
            self.arrays[zone].create(row["id"], size, snapshot or None)

        shown = self.shown("volumes", row) | {"size": size}
        self.control.work("volume", row, "status", make, "available", "error")
        return 202, shown

    def resize(self, call, tenant, key):
        row, size = self.row("volumes", key), call.json.get("newSize")
        with self.lock:
            if row["status"] != "available" or row["replicationId"]:
                raise Refused(400, f"the volume is {row['status']}; only available volumes outside replications can be extended")
            if not isinstance(size, int) or size <= row["size"]:
                raise Refused(400, f"newSize must be more than {row['size']} GB")
            row["status"] = "extending"

        def grow():
            self.has_room(row["availabilityZone"], size - row["size"])
            self.array(row).resize(key, size)
            row["size"] = size

        # Where it fails, hotpot says nothing: the volume is available with its old size.
        self.control.work("resize", row, "status", grow, "available", "available")
        return 202, self.shown("volumes", row)

    def using(self, kind, volume):
        return [row for row in self.rows[kind].values() if row["volumeId"] == volume]

    def delete_volume(self, call, tenant, key):
        row = self.row("volumes", key)
        with self.lock:
            if row["status"] not in ("available", "error", "errorDeleting", "errorExtending"):
                raise Refused(400, f"the volume is {row['status']}; it cannot be deleted")
            if self.using("snapshots", key) or self.using("attachments", key) or row["replicationId"]:
                raise Refused(400, "the volume has snapshots, attachments or a replication")
            row["status"] = "deleting"
        self.remove("volumes", row, lambda: self.array(row).remove(key))
        return 202, None

    def remove(self, kind, row, task, bad="errorDeleting", field="status"):
        def run():
            task()
            del self.rows[kind][row["id"]]

        self.control.work("delete", row, field, run, "deleted", bad)

    # --- attachments --------------------------------------------------------------------------------

    def attach(self, call, tenant):
        failure = self.control.planned("attachment", "refuse")
        if failure:
            raise Refused(500, failure)
        volume = self.row("volumes", call.json.get("volumeId"))
        host, mode = self.rows["hosts"].get(call.json.get("hostId")), call.json.get("attachMode") or "rw"
        if host is None or volume["availabilityZone"] not in host["availabilityZones"]:
            raise Refused(400, f"there is no host `{call.json.get('hostId')}` in {volume['availabilityZone']}")
        with self.lock:
            if volume["status"] != "available":
                raise Refused(400, f"the volume is {volume['status']}; only available volumes can be attached")
            if mode == "rw" and self.is_target(volume):
                raise Refused(400, "the volume is the target of a replication; fail over first")
            volume["status"] = "attaching"
        row = self.add("attachments", {
            "tenantId": tenant, "volumeId": volume["id"], "hostId": host["id"], "attachMode": mode, "status": "creating",
            "accessProtocol": "nbd", "connectionInfo": {"driverVolumeType": "nbd", "data": {}},
            "metadata": call.json.get("metadata") or {},
        })

        def connect():
            row["connectionInfo"]["data"] = {"uri": self.array(volume).export(volume["id"], row["id"], mode == "rw")}
            volume["status"] = "inUse"

        shown = self.shown("attachments", row)
        otherwise = lambda: volume.update(status="available")
        self.control.work("attachment", row, "status", connect, "available", "error", otherwise)
        return 202, shown

    def detach(self, call, tenant, key):
        row = self.row("attachments", key)
        volume = self.rows["volumes"].get(row["volumeId"])
        row["status"] = "deleting"

        def disconnect():
            if volume:
                self.array(volume).unexport(volume["id"], key)
                volume["status"] = "available"

        self.remove("attachments", row, disconnect)
        return 202, None

    # --- snapshots and groups -----------------------------------------------------------------------

    def create_snapshot(self, call, tenant):
        wanted = self.wanted("snapshot", call)
        volume = self.row("volumes", call.json.get("volumeId"))
        if volume["status"] not in ("available", "inUse"):
            raise Refused(400, f"the volume is {volume['status']}; it must be available or inUse")
        row = self.add("snapshots", wanted | {
            "tenantId": tenant, "volumeId": volume["id"], "size": volume["size"], "status": "creating",
            "profileId": call.json.get("profileId") or volume["profileId"], "_zone": volume["availabilityZone"],
        })
        shown = self.shown("snapshots", row)
        take = lambda: self.array(volume).snapshot(volume["id"], row["id"], volume["size"])
        self.control.work("snapshot", row, "status", take, "available", "error")
        return 202, shown

    def delete_snapshot(self, call, tenant, key):
        row = self.row("snapshots", key)
        if row["status"] == "creating":
            raise Refused(400, "the snapshot is creating")
        row["status"] = "deleting"
        self.remove("snapshots", row, lambda: self.arrays[row["_zone"]].remove(key))
        return 202, None

    def create_group(self, call, tenant):
        wanted = self.wanted("volumeGroup", call, tenantId=tenant, status="creating")
        row = self.add("volumeGroups", wanted | {"availabilityZone": call.json.get("availabilityZone") or self.default})
        self.members(row, call)
        shown = self.shown("volumeGroups", row)
        self.control.work("volumeGroup", row, "status", lambda: None, "available", "error")
        return 202, shown

    def members(self, row, call):
        joining = [self.row("volumes", key) for key in call.json.get("addVolumes") or []]
        leaving = [self.row("volumes", key) for key in call.json.get("removeVolumes") or []]
        for volume in joining:
            volume["groupId"] = row["id"]
        for volume in leaving:
            volume["groupId"] = ""

    def update_group(self, call, tenant, key):
        self.members(self.row("volumeGroups", key), call)
        return 202, self.update("volumeGroups", key, call)[1]

    def delete_group(self, call, tenant, key):
        row = self.row("volumeGroups", key)
        if any(volume["groupId"] == key for volume in self.rows["volumes"].values()):
            raise Refused(400, "the group has volumes")
        row["status"] = "deleting"
        self.remove("volumeGroups", row, lambda: None)
        return 202, None

    def create_host(self, call, tenant):
        name = call.json.get("hostName")
        if not name or any(host["hostName"] == name for host in self.rows["hosts"].values()):
            raise Refused(400, f"hostName `{name}` is empty or taken")
        fields = {key: value for key, value in call.json.items() if key not in ("id", "password")}
        return 200, self.add("hosts", fields | {"tenantId": tenant})

    def create_profile(self, call, tenant):
        wanted = self.wanted("profile", call)
        return 200, self.add("profiles", {key: value for key, value in call.json.items() if key != "id"} | wanted)

    # --- replications -------------------------------------------------------------------------------

    def pair(self, row):
        volumes = self.rows["volumes"]
        return volumes[row["primaryVolumeId"]], volumes[row["secondaryVolumeId"]]

    def is_target(self, volume):
        row = self.rows["replications"].get(volume["replicationId"])
        if row is None:
            return False
        return volume["id"] == row["primaryVolumeId" if row["replicationStatus"] in OVER else "secondaryVolumeId"]

    def create_replication(self, call, tenant):
        wanted = self.wanted("replication", call)
        first, second = (self.row("volumes", call.json.get(key)) for key in ("primaryVolumeId", "secondaryVolumeId"))
        mode = call.json.get("replicationMode") or "sync"
        with self.lock:
            for volume in (first, second):
                if volume["status"] not in ("available", "inUse") or volume["replicationId"]:
                    raise Refused(400, f"volume `{volume['name']}` is {volume['status']}, or in a replication already")
            if first["size"] != second["size"]:
                raise Refused(400, f"the volumes differ in size: {first['size']} and {second['size']} GB")
            if first["availabilityZone"] == second["availabilityZone"] or second["status"] != "available":
                raise Refused(400, "the secondary volume must be in another zone, and not in use")
            if mode not in ("sync", "async"):
                raise Refused(400, f"replicationMode `{mode}` is neither sync nor async")
            row = self.add("replications", wanted | {
                "tenantId": tenant, "primaryVolumeId": first["id"], "secondaryVolumeId": second["id"],
                "availabilityZone": first["availabilityZone"], "replicationStatus": "creating", "replicationMode": mode,
                "replicationPeriod": call.json.get("replicationPeriod") or 0, "profileId": call.json.get("profileId") or "",
                "replicationBandwidth": call.json.get("replicationBandwidth") or 0, "primaryReplicationDriverData": {},
                "secondaryReplicationDriverData": {}, "metadata": {}, "_synced": False, "_ways": None,
            })
            row["_job"] = "r" + row["id"][:12]
            first["replicationId"] = second["replicationId"] = row["id"]
        shown = self.shown("replications", row)
        self.control.work("replication", row, "replicationStatus", lambda: None, "available", "error")
        return 202, shown

    def look_at(self, row):
        """How far the mirror is; one that broke is an error."""
        if not row["_ways"]:
            return
        source, _ = row["_ways"]
        try:
            job = self.array(source).job(row["_job"])
        except Trouble:
            job = None
        if job is None or job["status"] == "concluded":
            if row["replicationStatus"] == "enabled":
                row["replicationStatus"] = "error"
            return
        total, done = job["total-progress"], job["current-progress"]
        row["primaryReplicationDriverData"] = {
            "progress": f"{100 if not total else done * 100 // total}", "lagBytes": str(total - done), "job": job["status"],
        }

    def begin(self, row, key, refused=()):
        """Checks that nothing is under way, and says what is."""
        row = self.row("replications", key) if row is None else row
        self.look_at(row)
        if row["replicationStatus"] in MOVING or row["replicationStatus"] in refused:
            raise Refused(400, f"the replication is {row['replicationStatus']}")
        return row

    def copy(self, row, source, target):
        """Mirrors one volume into the other, and waits until they are equal."""
        self.part(row)
        job, row["_ways"] = row["_job"], (source, target)
        self.array(target).export(target["id"], job, True)
        speed = row["replicationBandwidth"] * MEGABIT
        self.array(source).mirror(source["id"], job, self.array(target), row["replicationMode"] == "sync", speed)
        end = time.monotonic() + SYNC_SECONDS
        while (now_is := self.array(source).job(job))["status"] != "ready":
            if now_is["status"] == "concluded" or time.monotonic() > end:
                raise Trouble(now_is.get("error") or "the mirror does not catch up")
            self.look_at(row)
            time.sleep(LOOK_SECONDS)
        row["_synced"] = True

    def part(self, row):
        """Ends the mirror. What was written until now is on both sides, unless the source is dead."""
        if not row["_ways"]:
            return
        source, target = row["_ways"]
        if self.array(source).alive():
            self.array(source).unmirror(source["id"], row["_job"])
        if self.array(target).alive():
            self.array(target).unexport(target["id"], row["_job"])
        row["_ways"], row["primaryReplicationDriverData"] = None, {}

    def enable(self, call, tenant, key):
        with self.lock:
            row = self.begin(None, key, ("enabled", "failed_over"))
            row["replicationStatus"] = "enabling"
        copy = lambda: self.copy(row, *self.pair(row))
        self.control.work("enable", row, "replicationStatus", copy, "enabled", "error_enabling")
        return 202, self.shown("replications", row)

    def disable(self, call, tenant, key):
        with self.lock:
            row = self.begin(None, key, ("disabled", "failed_over"))
            row["replicationStatus"] = "disabling"
        self.control.work("disable", row, "replicationStatus", lambda: self.part(row), "disabled", "error_disabling")
        return 202, self.shown("replications", row)

    def failover(self, call, tenant, key):
        back = (call.json.get("secondaryBackendId") or "default") != "default"
        with self.lock:
            row = self.begin(None, key)
            if row["replicationStatus"] == "failed_over" and not back or back and row["replicationStatus"] not in OVER:
                raise Refused(400, f"the replication is {row['replicationStatus']}")
            losing = self.pair(row)[1 if back else 0]
            if self.using("attachments", losing["id"]) and not call.json.get("allowAttachedVolume"):
                raise Refused(400, f"volume `{losing['name']}` is attached, and allowAttachedVolume is false")
            row["replicationStatus"] = "failing_back" if back else "failing_over"
        if back:
            self.control.work("failback", row, "replicationStatus", lambda: self.fail_back(row), "enabled", "error_failing_back")
        else:
            self.control.work("failover", row, "replicationStatus", lambda: self.fail_over(row), "failed_over", "error_failing_over")
        return 202, self.shown("replications", row)

    def fail_over(self, row):
        if not row["_synced"]:
            raise Trouble("the secondary never had all of it")
        self.fence(self.pair(row)[0])
        self.part(row)

    def fail_back(self, row):
        first, second = self.pair(row)
        self.copy(row, second, first)
        # From here on nobody writes to the secondary; the mirror already brought over what was written.
        self.fence(second)
        self.copy(row, first, second)

    def fence(self, volume):
        """Takes a volume from its hosts; they have to let go of it before they can have it again."""
        if self.array(volume).alive():
            for attachment in self.using("attachments", volume["id"]):
                self.array(volume).unexport(volume["id"], attachment["id"])
                attachment["status"] = "error"

    def update_replication(self, call, tenant, key):
        row = self.row("replications", key)
        row["replicationBandwidth"] = call.json.get("replicationBandwidth", row["replicationBandwidth"])
        if row["_ways"]:
            self.array(row["_ways"][0]).slow(row["_job"], row["replicationBandwidth"] * MEGABIT)
        return 200, self.update("replications", key, call)[1]

    def delete_replication(self, call, tenant, key):
        with self.lock:
            row = self.begin(None, key)
            row["replicationStatus"] = "deleting"

        def run():
            self.part(row)
            for volume in self.rows["volumes"].values():
                if volume["replicationId"] == row["id"]:
                    volume["replicationId"] = ""

        self.remove("replications", row, run, "error_deleting", "replicationStatus")
        return 202, None

    # --- power --------------------------------------------------------------------------------------

    def come_back(self, zone):
        """Starts a dead array; hosts find again what was not taken from them."""
        self.arrays[zone].start()
        for row in self.rows["attachments"].values():
            volume = self.rows["volumes"].get(row["volumeId"])
            if volume and volume["availabilityZone"] == zone and row["status"] == "available":
                self.arrays[zone].export(volume["id"], row["id"], row["attachMode"] == "rw")
