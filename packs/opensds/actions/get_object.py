from pathlib import Path
from urllib.parse import quote

from soda import SodaAction


class GetObject(SodaAction):
    def act(self, cloud, bucket_name, key, file=None):
        body = cloud.call("GET", f"{cloud.s3}/{quote(bucket_name)}/{quote(key)}")
        if file:
            Path(file).write_bytes(body)
            return {"bytes": len(body)}
        return {"bytes": len(body), "text": body.decode(errors="replace")}
