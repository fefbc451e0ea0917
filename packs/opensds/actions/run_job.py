from soda import SodaAction, until


class RunJob(SodaAction):
    def act(self, cloud, url, body=None, id="id", state="state", good=("COMPLETED",), interval=5):
        begun = cloud.ask("POST", url, body or {})
        job = f"{url.rstrip('/')}/{begun[id]}"
        done = until(lambda: cloud.ask("GET", job), state, list(good), interval, float("inf"), f"job {begun[id]}")
        return done
