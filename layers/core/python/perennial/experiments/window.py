"""The part of the prediction log that a comparison reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from perennial.serving.log import PREDICTIONS, read_records
from perennial.storage.objects import Objects

_DAY = timedelta(days=1)
_DATE = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/")


def read_window(objects: Objects, model: str, first: date | None, last: date | None) -> Iterator[dict[str, Any]]:
    """The records of predictions made on the dates `first` to `last` (UTC); None is where the log begins or ends.

    Records arrive on the date of the prediction or the next one, so a day more is read on either side.
    """
    delivered = [_DATE.search(key) for key in objects.list(f"{PREDICTIONS}{model}/")]
    dates = [date.fromisoformat(found[1]) for found in delivered if found]
    if not dates:
        return
    begin = min(dates) if first is None else max(min(dates), first - _DAY)
    end = max(dates) if last is None else min(max(dates), last + _DAY)
    for record in read_records(objects, model, begin, end):
        made = date.fromisoformat(record["at"][:10])
        if (first is None or first <= made) and (last is None or made <= last):
            yield record
