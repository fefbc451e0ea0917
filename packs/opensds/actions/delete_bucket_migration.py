from soda import Refused, SodaAction


class DeleteBucketMigration(SodaAction):
    def act(self, cloud, url=None, plan_id=None, user_id=None):
        try:
            cloud.call("DELETE", url or f"{cloud.plans}/plans/{plan_id}")
        except Refused as error:
            if error.code != 404:
                raise
        print("the plan is removed")
