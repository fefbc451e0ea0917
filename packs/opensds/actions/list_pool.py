from soda import SodaAction


class ListPool(SodaAction):
    def act(self, cloud):
        return cloud.rows("pools")
