from lib.cloud import ask
from st2common.runners.base_action import Action


class CreateBucketMigration(Action):
    def run(self, url, tenant_id, name, description, src_bucket_name, dest_bucket_name,
            remain_source, user_id=None, auth_token=None):
        def at(bucket):
            return {"StorType": "opensds-obj", "BucketName": bucket}

        plan = {
            "tenantId": tenant_id,
            "userId": user_id,
            "Name": name,
            "Description": description,
            "Type": "migration",
            "RemainSource": remain_source,
            "SourceConn": at(src_bucket_name),
            "DestConn": at(dest_bucket_name),
        }
        return ask("POST", url, plan, auth_token)["plan"]["id"]
