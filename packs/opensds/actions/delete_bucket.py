from urllib.parse import quote

from soda import Refused, SodaAction


class DeleteBucket(SodaAction):
    def act(self, cloud, bucket_name):
        try:
            cloud.call("DELETE", f"{cloud.s3}/{quote(bucket_name)}")
        except Refused as error:
            if error.code != 404:
                raise
