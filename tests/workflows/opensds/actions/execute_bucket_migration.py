from lib.cloud import ask
from st2common.runners.base_action import Action


class ExecuteBucketMigration(Action):
    def run(self, url, auth_token=None):
        return ask("POST", url, {}, auth_token)["jobId"]
