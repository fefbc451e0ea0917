from urllib.parse import quote
from xml.sax.saxutils import escape

from soda import Refused, SodaAction, message


class CreateBucket(SodaAction):
    def act(self, cloud, backend_name, url=None, bucket_name=None):
        where = f"<LocationConstraint>{escape(backend_name)}</LocationConstraint>"
        body = f"<CreateBucketConfiguration>{where}</CreateBucketConfiguration>".encode()
        try:
            print(message(cloud.call("PUT", url or f"{cloud.s3}/{quote(bucket_name)}", body, "application/xml")))
        except Refused as error:
            if error.code != 409:
                raise
            print("the bucket is there already")
