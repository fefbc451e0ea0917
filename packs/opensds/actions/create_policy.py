from soda import SodaAction


class CreatePolicy(SodaAction):
    def act(self, cloud, name, schedule, description=""):
        for policy in cloud.ask("GET", f"{cloud.plans}/policies")["policies"]:
            if policy["name"] == name:
                return policy
        # The service spells it so.
        when = {"type": "cron", "tiggerProperties": schedule}
        wanted = {"name": name, "description": description, "schedule": when}
        return cloud.ask("POST", f"{cloud.plans}/policies", wanted)["policy"]
