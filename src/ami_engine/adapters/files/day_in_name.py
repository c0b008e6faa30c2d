"""The day that the name of a file tells."""

import re
from datetime import date

_DAY = re.compile(r"(?<!\d)((?:19|20)\d\d)(-?)(\d\d)\2(\d\d)(?!\d)", re.ASCII)


def day_in_name(name: str) -> date | None:
    """Find the only day in a name, written ``20140506`` or ``2014-05-06``; None = none, or several.

    >>> day_in_name("fxcm_eurusd_20140506_quote.zip")
    datetime.date(2014, 5, 6)
    """
    days = set()
    for year, _, month, day in _DAY.findall(name):
        try:
            days.add(date(int(year), int(month), int(day)))
        except ValueError:
            continue
    return days.pop() if len(days) == 1 else None
