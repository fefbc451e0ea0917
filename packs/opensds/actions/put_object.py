from pathlib import Path
from urllib.parse import quote

from soda import SodaAction


class PutObject(SodaAction):
    def act(self, cloud, bucket_name, key, text=None, file=None):
        body = Path(file).read_bytes() if file else (text or "").encode()
        cloud.call("PUT", f"{cloud.s3}/{quote(bucket_name)}/{quote(key)}", body, "application/octet-stream")
        return {"bytes": len(body)}
