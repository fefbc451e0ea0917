from soda import SodaAction


class ExecuteBucketMigration(SodaAction):
    def act(self, cloud, url=None, plan_id=None):
        return cloud.ask("POST", url or f"{cloud.plans}/plans/{plan_id}/run", {})["jobId"]
