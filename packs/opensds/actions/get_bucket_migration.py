from soda import SodaAction, until


class GetBucketMigration(SodaAction):
    def act(self, cloud, url=None, job_id=None, interval=2):
        look = lambda: cloud.ask("GET", url or f"{cloud.plans}/jobs/{job_id}")["job"]
        # Its end is the action's `timeout`.
        job = until(look, "status", ["succeed"], interval, float("inf"), "the migration")
        print(f"the migration is {job['status']}")
        return job
