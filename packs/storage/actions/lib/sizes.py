"""Sizes as people write them: `10GiB`, `500 MB`, or a number of bytes."""

import re

STEPS = "KMGTP"
FORM = re.compile(r"^(\d+(?:\.\d+)?) ?(?:([%s])(i?)(B?)|B)?$" % STEPS)


def to_bytes(size):
    """GiB and G are 1024 to the third, GB is 1000 to the third."""
    if isinstance(size, bool) or not isinstance(size, (int, float, str)):
        raise ValueError("`%s` is no size; write a text such as 10GiB" % (size,))
    if not isinstance(size, str):
        return int(size)
    found = FORM.match(size.strip())
    if not found:
        raise ValueError("`%s` is no size; write a number with a unit such as 10GiB" % size)
    number, step, binary, byte = found.groups()
    base = 1000 if byte and not binary else 1024
    factor = base ** (STEPS.index(step) + 1) if step else 1
    return int(float(number) * factor)


def to_text(size):
    """The same for people, with the largest unit that fits."""
    for power in range(len(STEPS), 0, -1):
        if abs(size) >= 1024**power:
            return "%.4g %siB" % (size / 1024**power, STEPS[power - 1])
    return "%d B" % size
