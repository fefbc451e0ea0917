from urllib.parse import quote
from xml.sax.saxutils import escape

from soda import SodaAction, message


class LoadObjects(SodaAction):
    def act(self, cloud, backend_name, prefix, url=None, bucket_name=None):
        what = f"<Backend>{escape(backend_name)}</Backend><Prefix>{escape(prefix)}</Prefix>"
        body = f"<LoadObjectsReq>{what}</LoadObjectsReq>".encode()
        where = url or f"{cloud.s3}/{quote(bucket_name)}/?load"
        print(message(cloud.call("PUT", where, body, "application/xml")))
