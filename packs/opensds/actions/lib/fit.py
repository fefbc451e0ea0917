"""Which pool fits: hotpot's filter. A wish is a map of dotted keys and expressions, and all must hold.

    {"freeCapacity": ">= 10", "extras.ioConnectivity.accessProtocol": "s== iscsi", "name": "<or> p1 <or> p2"}
"""

import operator
import re

NUMBERS = {"=": operator.eq, "==": operator.eq, "!=": operator.ne, ">=": operator.ge, "<=": operator.le}
TEXTS = {
    "s==": operator.eq,
    "s!=": operator.ne,
    "s<": operator.lt,
    "s<=": operator.le,
    "s>": operator.gt,
    "s>=": operator.ge,
}


def flat(row, lead=""):
    """`{"a": {"b": 1}}` as `{"a.b": 1}`."""
    found = {}
    for key, value in row.items():
        found |= flat(value, f"{lead}{key}.") if isinstance(value, dict) else {lead + key: value}
    return found


def holds(value, wanted):
    """Whether one value fits one expression."""
    word, _, rest = str(wanted).strip().partition(" ")
    text = str(value).lower()
    if word in NUMBERS:
        return NUMBERS[word](float(value), float(rest))
    if word in TEXTS:
        return TEXTS[word](text, rest.strip().lower())
    if word == "<in>":
        return re.search(rest.strip(), str(value)) is not None
    if word == "<is>":
        return text == rest.strip().lower()
    if word == "<or>":
        return text in [choice.strip().lower() for choice in rest.split("<or>")]
    return text == str(wanted).strip().lower()


def unmet(row, wishes):
    """The first wish that a pool does not meet, in words; None where it meets all."""
    values = flat(row)
    for key, wanted in wishes.items():
        if key.startswith(":"):
            continue
        if key not in values:
            return f"it has no `{key}`"
        if not holds(values[key], wanted):
            return f"`{key}` is {values[key]}, wanted is {wanted}"
    return None
