from lib.cloud import call, message
from st2common.runners.base_action import Action


class CreateBucket(Action):
    def run(self, url, backend_name, auth_token=None):
        body = f"""<CreateBucketConfiguration>
            <LocationConstraint>{backend_name}</LocationConstraint>
        </CreateBucketConfiguration>"""
        print(message(call("PUT", url, body, auth_token, "application/xml")))
