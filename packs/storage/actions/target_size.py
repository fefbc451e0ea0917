"""Which size a pool is to have. It only works that out, in whole units of the pool (a MiB, a GiB)."""

import math

from sizes import to_bytes, to_text
from st2common.runners.base_action import Action


class TargetSize(Action):
    def run(self, measured, adjustment_type, adjustment, min_step=None, min=None, max=None):
        try:
            return target(measured, (adjustment_type, adjustment, min_step), (min, max))
        except ValueError as error:
            return False, {"error": str(error)}


def target(measured, change, limits):
    now = measured["total_bytes"]
    unit = measured.get("unit_bytes") or 1
    step = wanted_step(now, unit, change)
    low, high = bounds(measured, limits, unit)
    to = (now // unit + step) * unit
    limit = "max" if to > high else "min" if to < low else None
    to = min(max(to, low), high)
    # At a limit a pool stays as it is; it never goes the other way to get inside.
    if step == 0 or (to - now) * step <= 0:
        return unchanged(now, limit, stays(now, step, limit, (low, high)))
    if to < now:
        if measured.get("never_smaller"):
            kind = measured.get("kind")
            return unchanged(now, "min", "a pool of kind %s is never made smaller: %s" % (kind, measured["never_smaller"]))
        return answer(now, to, limit, "smaller by %s to %s" % (to_text(now - to), to_text(to)))
    return answer(now, to, limit, "larger by %s to %s" % (to_text(to - now), to_text(to)))


def wanted_step(now, unit, change):
    """How many units more or less, rounded as OpenStack Heat does: heat/scaling/scalingutil.py."""
    kind, adjustment, min_step = change
    if kind == "change":
        negative = isinstance(adjustment, str) and adjustment.strip().startswith("-")
        size = to_bytes(adjustment.strip().lstrip("+-") if isinstance(adjustment, str) else adjustment)
        return toward_more(-size if negative else size, unit)
    if kind == "exact":
        return toward_more(to_bytes(adjustment) - now, unit)
    delta = now / unit * float(adjustment) / 100
    # Less than one unit is one; more than one is rounded down to whole units.
    step = int(math.copysign(1, delta)) if 0 < abs(delta) < 1 else int(delta)
    least = math.ceil(to_bytes(min_step) / unit) if min_step else 0
    return int(math.copysign(least, step)) if step and abs(step) < least else step


def toward_more(size, unit):
    """Whole units, away from zero: who asks for 100 MB gets no less."""
    return int(math.copysign(math.ceil(abs(size) / unit), size))


def bounds(measured, limits, unit):
    """The narrower of what the pool and what the rule allow, in whole units; never below what is used."""
    lows = [measured.get("min_bytes"), measured.get("used_bytes"), limits[0] and to_bytes(limits[0])]
    highs = [measured.get("max_bytes"), limits[1] and to_bytes(limits[1])]
    low = max([math.ceil(size / unit) * unit for size in lows if size] or [unit])
    high = min([size // unit * unit for size in highs if size] or [math.inf])
    return low, high


def stays(now, step, limit, bounds):
    if step == 0:
        return "it has that size already"
    if limit == "max":
        return "it has %s and may have %s at most" % (to_text(now), to_text(bounds[1]))
    return "it has %s and may not have less than %s" % (to_text(now), to_text(bounds[0]))


def unchanged(now, limit, reason):
    return {"changed": False, "target_bytes": now, "limit": limit, "reason": reason}


def answer(now, to, limit, reason):
    return {"changed": to != now, "target_bytes": to, "limit": limit, "reason": reason}
