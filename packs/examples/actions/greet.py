"""The smallest Python action: a class with `run`, whose keywords are the action's parameters."""

from st2common.runners.base_action import Action


class Greet(Action):
    def run(self, name):
        # The log goes to the execution's stderr, what is returned becomes its result.
        self.logger.info("greeting %s", name)
        return {"text": f"{self.config['greeting']}, {name}!"}
