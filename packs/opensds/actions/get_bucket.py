import xml.etree.ElementTree as ET

from soda import Refused, SodaAction


class GetBucket(SodaAction):
    def act(self, cloud, bucket_name, url=None):
        listed = ET.fromstring(cloud.call("GET", url or f"{cloud.s3}/", kind="application/xml"))
        # Old versions have a row for each bucket named Buckets, new ones Buckets with a Bucket for each.
        for row in listed.iter():
            found = {part.tag.split("}")[-1]: part.text for part in row}
            if found.get("Name") == bucket_name:
                backend = found.get("LocationConstraint") or ""
                print(f"{bucket_name} is on {backend}")
                return {"name": bucket_name, "backend": backend}
        raise Refused(f"{bucket_name} Not Found")
