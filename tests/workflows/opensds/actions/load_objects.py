from lib.cloud import call, message
from st2common.runners.base_action import Action


class LoadObjects(Action):
    def run(self, url, backend_name, prefix, auth_token=None):
        body = f"<LoadObjectsReq><Backend>{backend_name}</Backend><Prefix>{prefix}</Prefix></LoadObjectsReq>"
        print(message(call("PUT", url, body, auth_token, "application/xml")))
