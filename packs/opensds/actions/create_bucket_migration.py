from soda import Refused, SodaAction


class CreateBucketMigration(SodaAction):
    def act(self, cloud, name, src_bucket_name, dest_bucket_name, remain_source=True, url=None, **more):
        url = url or f"{cloud.plans}/plans"
        ends = {"SourceConn": src_bucket_name, "DestConn": dest_bucket_name}
        for plan in (cloud.ask("GET", url) or {}).get("plans") or []:
            if plan["name"] == name:
                there = {key: (plan.get(key[0].lower() + key[1:]) or {}).get("BucketName") for key in ends}
                if there != ends or bool(plan.get("remainSource")) != remain_source:
                    raise Refused(f"a plan `{name}` is there already, for other buckets; choose another name")
                return plan["id"]
        plan = {
            "tenantId": cloud.tenant,
            "userId": more.get("user_id"),
            "Name": name,
            "Description": more.get("description", ""),
            "Type": "migration",
            "RemainSource": remain_source,
        }
        plan |= {key: {"StorType": "opensds-obj", "BucketName": bucket} for key, bucket in ends.items()}
        return cloud.ask("POST", url, plan)["plan"]["id"]
