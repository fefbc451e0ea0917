from lib.cloud import ask, until
from st2common.runners.base_action import Action


class GetBucketMigration(Action):
    def run(self, url, auth_token=None, **_):
        def status():
            now = ask("GET", url, token=auth_token)["job"]["status"]
            print(f"the migration is {now}")
            return now

        until(status, good="succeed", bad=["failed", "cancelled"])
