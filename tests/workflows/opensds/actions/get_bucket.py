import xml.etree.ElementTree as ET

from lib.cloud import S3, CloudError, call
from st2common.runners.base_action import Action


class GetBucket(Action):
    def run(self, url, bucket_name, auth_token=None):
        listed = ET.fromstring(call("GET", url, token=auth_token, kind="application/xml"))
        for bucket in listed.iter(S3 + "Buckets"):
            if bucket.findtext(S3 + "Name") == bucket_name:
                print(f"{bucket_name} is on {bucket.findtext(S3 + 'LocationConstraint')}")
                return
        raise CloudError(f"{bucket_name} Not Found")
