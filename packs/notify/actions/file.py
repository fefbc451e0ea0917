"""A message is one line: whole or not there, whoever else writes."""

import json
import os

from st2common.runners.base_action import Action


class File(Action):
    def run(self, path, subject, text, notice):
        # A plain path is seen from the home: this file lies in packs/notify/actions.
        home = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "..")
        path = os.path.normpath(os.path.join(home, path))
        line = json.dumps({"subject": subject, "text": text, "notice": notice}) + "\n"
        os.makedirs(os.path.dirname(path), exist_ok=True)
        # One write to a file that is only added to is not torn apart by another one.
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        try:
            os.write(file, line.encode())
            os.fsync(file)
        finally:
            os.close(file)
        return {"path": path}
