from soda import SodaAction


class CreateProfile(SodaAction):
    def act(self, cloud, name, storage_type="block", description="", properties=None):
        wanted = {"name": name, "storageType": storage_type, "description": description} | (properties or {})
        return cloud.make("profiles", wanted, ["storageType"])
