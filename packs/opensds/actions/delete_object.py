from urllib.parse import quote

from soda import SodaAction


class DeleteObject(SodaAction):
    def act(self, cloud, bucket_name, key):
        cloud.call("DELETE", f"{cloud.s3}/{quote(bucket_name)}/{quote(key)}")
