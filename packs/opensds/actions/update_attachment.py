from soda import SodaAction


class UpdateAttachment(SodaAction):
    def act(self, cloud, attachment_id, metadata):
        return cloud.ask("PUT", f"{cloud.block}/block/attachments/{attachment_id}", {"metadata": metadata})
