"""Objects across clouds as SODA's gelato serves them, with buckets in the shape they had until 2020: a bucket
is a folder, a migration copies its files. Beside it stands a small service for analyses.
"""

import json
import os
import re
import shutil
import threading
import time
import uuid
import xml.etree.ElementTree as ET
from xml.sax.saxutils import escape

SPACE = "http://s3.amazonaws.com/doc/2006-03-01"
KEY = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._/-]*\Z")


def named(message, text):
    return f"<{message}><Code>200</Code><Msg>{escape(text)}</Msg></{message}>"


def tag(body, name):
    """The text of an element; empty where there is none."""
    try:
        return next((e.text or "" for e in ET.fromstring(body).iter() if e.tag.split("}")[-1] == name), "")
    except ET.ParseError:
        return ""


class Gelato:
    """What it knows; its own files are in `folder`."""

    def __init__(self, folder, work, refused):
        self.folder = os.path.join(folder, "buckets")
        self.work, self.refused = work, refused
        self.backends = {}  # by bucket
        self.plans, self.jobs, self.policies, self.analyses, self.stores = {}, {}, {}, {}, {}
        self.lock = threading.RLock()
        os.makedirs(self.folder, exist_ok=True)

    def routes(self):
        plan, bucket = r"/v1/[^/]+/plans", r"/v1/s3/([^/]+)/?"
        return [
            ("GET", r"/v1/s3/?", self.list_buckets),
            ("PUT", bucket, self.put_bucket),
            ("DELETE", bucket, self.delete_bucket),
            ("PUT", r"/v1/s3/([^/]+)/(.+)", self.put_object),
            ("GET", r"/v1/s3/([^/]+)/(.+)", self.get_object),
            ("DELETE", r"/v1/s3/([^/]+)/(.+)", self.delete_object),
            ("POST", r"/v1/([^/]+)/plans", self.create_plan),
            ("GET", plan, lambda call: (200, {"plans": list(self.plans.values()), "next": -1})),
            ("POST", plan + "/([^/]+)/run", self.run_plan),
            ("GET", plan + "/([^/]+)", lambda call, key: (200, {"plan": self.found(self.plans, key)})),
            ("DELETE", plan + "/([^/]+)", self.delete_plan),
            ("GET", r"/v1/[^/]+/jobs/([^/]+)", lambda call, key: (200, {"job": self.found(self.jobs, key)})),
            ("POST", r"/v1/([^/]+)/policies", self.create_policy),
            ("GET", r"/v1/[^/]+/policies", lambda call: (200, {"policies": list(self.policies.values())})),
            ("POST", r"/v1/[^/]+/backends", lambda call: self.put_store(call, uuid.uuid4().hex)),
            ("PUT", r"/v1/[^/]+/backends/([^/]+)", self.put_store),
            ("GET", r"/v1/[^/]+/backends", lambda call: (200, {"backends": list(self.stores.values())})),
            ("DELETE", r"/v1/[^/]+/backends/([^/]+)", lambda call, key: (200, self.found(self.stores, key) and self.stores.pop(key))),
            ("POST", r"/analyses", self.analyse),
            ("GET", r"/analyses/([^/]+)", lambda call, key: (200, self.found(self.analyses, key))),
        ]

    def found(self, rows, key):
        if key not in rows:
            raise self.refused(404, f"there is no `{key}`")
        return rows[key]

    # --- buckets ------------------------------------------------------------------------------------

    def bucket(self, name):
        self.found(self.backends, name)
        return os.path.join(self.folder, name)

    def path(self, bucket, key):
        path = os.path.normpath(os.path.join(self.bucket(bucket), key))
        if not KEY.match(key) or not path.startswith(self.bucket(bucket) + os.sep):
            raise self.refused(400, f"`{key}` is no key")
        return path

    def list_buckets(self, call):
        rows = "".join(
            f"<Buckets><Name>{name}</Name><LocationConstraint>{escape(backend)}</LocationConstraint></Buckets>"
            for name, backend in self.backends.items()
        )
        return 200, f'<ListAllMyBucketsResult xmlns="{SPACE}">{rows}</ListAllMyBucketsResult>'

    def put_bucket(self, call, name):
        if "load" in call.query:
            self.bucket(name)
            if not tag(call.text, "Prefix"):
                raise self.refused(400, "nothing to load")
            return 200, named("BaseResponse", "Load objects successfully.")
        if not KEY.match(name):
            raise self.refused(400, f"`{name}` is no name of a bucket")
        if name in self.backends:
            raise self.refused(409, "the bucket exists")
        os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        self.backends[name] = tag(call.text, "LocationConstraint")
        return 200, named("BaseResponse", "Create bucket successfully.")

    def delete_bucket(self, call, name):
        if os.listdir(self.bucket(name)):
            raise self.refused(409, "the bucket is not empty")
        os.rmdir(self.bucket(name))
        del self.backends[name]
        return 200, named("BaseResponse", "Delete bucket successfully.")

    def put_object(self, call, bucket, key):
        path = self.path(bucket, key)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(call.body)
        return 200, named("BaseResponse", "Upload object successfully.")

    def get_object(self, call, bucket, key):
        try:
            with open(self.path(bucket, key), "rb") as file:
                return 200, file.read()
        except OSError:
            raise self.refused(404, f"there is no `{bucket}/{key}`") from None

    def delete_object(self, call, bucket, key):
        if os.path.exists(self.path(bucket, key)):
            os.remove(self.path(bucket, key))
        return 200, named("BaseResponse", "Delete object successfully.")

    # --- plans and jobs -----------------------------------------------------------------------------

    def create_plan(self, call, tenant):
        wanted = {key.lower(): value for key, value in call.json.items()}
        source, target = wanted.get("sourceconn") or {}, wanted.get("destconn") or {}
        if source.get("BucketName") == target.get("BucketName"):
            raise self.refused(500, "source is the same as destination")
        plan = {
            "id": uuid.uuid4().hex, "name": wanted.get("name"), "description": wanted.get("description"), "type": "migration",
            "sourceConn": source, "destConn": target, "remainSource": bool(wanted.get("remainsource")), "tenantId": tenant,
        }
        self.plans[plan["id"]] = plan
        return 200, {"plan": plan}

    def delete_plan(self, call, key):
        self.found(self.plans, key)
        del self.plans[key]
        return 200, {}

    def run_plan(self, call, key):
        plan = self.found(self.plans, key)
        source, target = plan["sourceConn"]["BucketName"], plan["destConn"]["BucketName"]
        job = {
            "id": uuid.uuid4().hex, "planId": key, "planName": plan["name"], "sourceLocation": source, "destLocation": target,
            "status": "running", "createTime": int(time.time()), "remainSource": plan["remainSource"],
            "totalCount": 0, "passedCount": 0, "totalCapacity": 0, "passedCapacity": 0, "progress": 0,
        }
        self.jobs[job["id"]] = job
        self.work("job", job, "status", lambda: self.migrate(job, source, target), "succeed", "failed")
        return 200, {"jobId": job["id"]}

    def migrate(self, job, source, target):
        here, there = self.bucket(source), self.bucket(target)
        files = [os.path.join(at, name) for at, _, names in os.walk(here) for name in names]
        job["totalCount"], job["totalCapacity"] = len(files), sum(map(os.path.getsize, files))
        for file in files:
            to = os.path.join(there, os.path.relpath(file, here))
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copyfile(file, to)
            job["passedCount"] += 1
            job["passedCapacity"] += os.path.getsize(to)
            job["progress"] = job["passedCount"] * 100 // job["totalCount"]
        if not job["remainSource"]:
            for file in files:
                os.remove(file)
        job["endTime"] = int(time.time())

    def create_policy(self, call, tenant):
        policy = {"id": uuid.uuid4().hex, "tenantId": tenant, **{k: v for k, v in call.json.items() if k != "id"}}
        self.policies[policy["id"]] = policy
        return 200, {"policy": policy}

    def put_store(self, call, key):
        """A backend is only written down: all buckets are folders here."""
        hidden = ("access", "security", "id")
        self.stores[key] = {"id": key, **{k: v for k, v in call.json.items() if k not in hidden}}
        return 200, self.stores[key]

    # --- analyses -----------------------------------------------------------------------------------

    def analyse(self, call):
        analysis = {"id": uuid.uuid4().hex, "state": "RUNNING", "engine": call.json.get("engine"), "args": call.json.get("args")}
        self.analyses[analysis["id"]] = analysis
        self.work("analysis", analysis, "state", lambda: self.count(analysis), "COMPLETED", "FAILED")
        return 202, analysis

    def count(self, analysis):
        """Counts the objects of the bucket `args.bucket`, and leaves what it found in it."""
        bucket = analysis["args"]["bucket"]
        at = self.bucket(bucket)
        files = [os.path.join(here, name) for here, _, names in os.walk(at) for name in names]
        analysis["found"] = {"objects": len(files), "bytes": sum(map(os.path.getsize, files))}
        os.makedirs(os.path.join(at, "output"), exist_ok=True)
        with open(os.path.join(at, "output", "count.json"), "w", encoding="utf-8") as file:
            json.dump(analysis["found"], file)
