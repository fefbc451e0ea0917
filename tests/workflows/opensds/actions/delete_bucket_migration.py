from lib.cloud import call
from st2common.runners.base_action import Action


class DeleteBucketMigration(Action):
    def run(self, url, tenant_id, user_id=None, auth_token=None):
        call("DELETE", url, token=auth_token)
        print("the plan is removed")
