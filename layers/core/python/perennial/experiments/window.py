"""The part of the prediction log that a comparison reads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Any

from perennial.outcomes import Outcomes, read_outcomes
from perennial.outcomes.store import OUTCOMES
from perennial.serving.log import PREDICTIONS, read_records
from perennial.storage.objects import Objects

_DAY = timedelta(days=1)
_DATE = re.compile(r"/date=(\d{4}-\d{2}-\d{2})/")


def read_window(objects: Objects, model: str, first: date | None, last: date | None) -> Iterator[dict[str, Any]]:
    """The records of predictions made on the dates `first` to `last` (UTC); None is where the log begins or ends.

    Records arrive on the date of the prediction or the next one, so a day more is read on either side.
    """
    dates = delivered(objects, f"{PREDICTIONS}{model}/")
    if dates is None:
        return
    begin = dates[0] if first is None else max(dates[0], first - _DAY)
    end = dates[1] if last is None else min(dates[1], last + _DAY)
    for record in read_records(objects, model, begin, end):
        made = date.fromisoformat(record["at"][:10])
        if (first is None or first <= made) and (last is None or made <= last):
            yield record


def between(
    records: Iterable[dict[str, Any]], since: datetime | None, until: datetime | None
) -> Iterator[dict[str, Any]]:
    """The records of predictions made from `since` on and before `until`; None is no bound."""
    for record in records:
        made = datetime.fromisoformat(record["at"])
        if (since is None or since <= made) and (until is None or made < until):
            yield record


def delivered(objects: Objects, prefix: str) -> tuple[date, date] | None:
    """The first and the last date (UTC) of the objects below `<prefix>date=YYYY-MM-DD/`; None where there is none."""
    found = [_DATE.search(key) for key in objects.list(prefix)]
    dates = [date.fromisoformat(one[1]) for one in found if one]
    return (min(dates), max(dates)) if dates else None


def read_known(objects: Objects, model: str, first: date | None) -> Outcomes:
    """The outcomes that have arrived since `first` (None: ever), for predictions made since then."""
    dates = delivered(objects, f"{OUTCOMES}{model}/")
    if dates is None:
        return Outcomes([], 0, 0)
    return read_outcomes(objects, model, max(dates[0], first or dates[0]), dates[1])
