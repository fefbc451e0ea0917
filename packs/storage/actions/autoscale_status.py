"""Where every pool stands: `storage.autoscale.POOL`, which rules/status.rhai keeps, and what it has now."""

import json
from datetime import datetime, timezone

import pools
from sizes import to_text
from st2common.runners.base_action import Action


class AutoscaleStatus(Action):
    def run(self, pool=None):
        try:
            names = [pools.find(self.config, pool).name] if pool else pools.names(self.config)
        except RuntimeError as error:
            return False, {"error": str(error)}
        return {name: self.status(name) for name in names}

    def status(self, name):
        kept = self.action_service.get_value("storage.autoscale." + name, local=False)
        kept = json.loads(kept) if isinstance(kept, str) else kept or {}
        status = {"state": kept.get("state") or "ok"}
        until = kept.get("cooling_until")
        if until and moment(until) > datetime.now(timezone.utc):
            status = {"state": "cooling", "next_possible": until}
        status.update((key, kept[key]) for key in ("reason", "rule", "since", "execution") if kept.get(key))
        try:
            pool = pools.find(self.config, name)
            measured = pool.measure()
        except (RuntimeError, ValueError, OSError) as error:
            # Nobody can say that it may be scaled.
            if status["state"] == "ok":
                status["state"] = "unknown"
            return dict(status, trouble=str(error))
        if status["state"] == "ok" and pool.max is not None and measured["total_bytes"] >= pool.max:
            status["state"] = "at_max"
        status["size"] = to_text(measured["total_bytes"])
        status["used_pct"] = measured.get("used_pct")
        status["max"] = to_text(pool.max) if pool.max is not None else None
        return status


def moment(text):
    return datetime.fromisoformat(text.replace("Z", "+00:00"))
