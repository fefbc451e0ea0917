from soda import Refused, SodaAction


class DeleteBackend(SodaAction):
    def act(self, cloud, backend_id):
        try:
            cloud.call("DELETE", f"{cloud.plans}/backends/{backend_id}")
        except Refused as error:
            if error.code != 404:
                raise
