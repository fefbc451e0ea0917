from urllib.parse import quote
from xml.sax.saxutils import escape

from soda import SodaAction, message


class LoadObjects(SodaAction):
    def act(self, cloud, backend_name, prefix, url=None, bucket_name=None):
        body = f"<LoadObjectsReq><Backend>{escape(backend_name)}</Backend><Prefix>{escape(prefix)}</Prefix></LoadObjectsReq>"
        where = url or f"{cloud.s3}/{quote(bucket_name)}/?load"
        print(message(cloud.call("PUT", where, body.encode(), "application/xml")))
