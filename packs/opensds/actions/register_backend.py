from soda import SodaAction


class RegisterBackend(SodaAction):
    def act(self, cloud, name, bucket_name="", **fields):
        wanted = fields | {"name": name, "bucketName": bucket_name}
        for backend in cloud.ask("GET", f"{cloud.plans}/backends")["backends"]:
            if backend["name"] == name:
                return cloud.ask("PUT", f"{cloud.plans}/backends/{backend['id']}", wanted)
        return cloud.ask("POST", f"{cloud.plans}/backends", wanted)
