"""How well the estimate without labels did on past windows, each judged once, when its outcomes had come.

    monitoring/<model>/estimates/days=<length>/<first day>.json

Past windows lie on a fixed grid of days, so none overlaps another whoever looks and when. A look judges the newest that
is complete, if nobody has, and reads those of about a year: their number does not grow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from perennial.evaluation.metrics import points
from perennial.monitoring.calendar import Span, last_settled
from perennial.monitoring.days import MONITORING
from perennial.monitoring.estimate import PastWindow, expected
from perennial.monitoring.rows import join, versions_of
from perennial.monitoring.shelf import Shelf
from perennial.monitoring.versions import Versions
from perennial.storage.objects import canonical_json

_ORIGIN = date(1970, 1, 1)
KEPT = timedelta(days=366)


@dataclass(frozen=True)
class Past:
    """The past windows of a model, of `length` days, by its metric."""

    shelf: Shelf
    versions: Versions
    metric: str
    length: int

    def windows(self) -> list[PastWindow]:
        """Those that were judged, oldest first; raises StorageUnavailable."""
        newest = self._newest()
        start = self._key(newest.first - KEPT)
        found = [
            key for key in self.shelf.objects.list(self._prefix, start_after=start) if key <= self._key(newest.first)
        ]
        told = [self.shelf.objects.get_json(key) for key in found]
        if self._key(newest.first) not in found and newest.first >= self.shelf.oldest:
            told.append(self._judge(newest))
        return [PastWindow(**one) for one in told if "none" not in one]

    @property
    def _prefix(self) -> str:
        return f"{MONITORING}{self.shelf.spec.name}/estimates/days={self.length}/"

    def _key(self, first: date) -> str:
        return f"{self._prefix}{first}.json"

    def _newest(self) -> Span:
        """The newest window of the grid whose cohorts are all complete."""
        complete = last_settled(self.shelf.as_of) - self.shelf.horizon
        number = ((complete - _ORIGIN).days + 1) // self.length - 1
        first = _ORIGIN + timedelta(days=number * self.length)
        return Span(first, first + timedelta(days=self.length - 1))

    def _judge(self, span: Span) -> dict[str, Any]:
        """What was estimated of a window and what it was, written down once; `none` says why there is nothing."""
        found = self._judged(span)
        told = {"none": found} if isinstance(found, str) else found.to_json()
        if not self.shelf.objects.create(self._key(span.first), canonical_json(told)):
            told = self.shelf.objects.get_json(self._key(span.first))
        return told

    def _judged(self, span: Span) -> PastWindow | str:
        self.shelf.list(Span(span.first - self.shelf.reach, span.last + self.shelf.horizon))
        tables, cohorts = self.shelf.days(span), self.shelf.cohorts(span)
        answered = Counter(int(one) for table in tables.values() for one in versions_of(table))
        if not answered:
            return "no traffic"
        version = min(answered, key=lambda one: (-answered[one], one))
        kind, calibrator = self.versions.classes(version), self.versions.calibrator(version)
        unchanged = self.versions.trained(version).get(self.metric)
        if kind is None or calibrator is None or unchanged is None:
            return f"nothing is known of the scores of version {version}"
        task, classes = kind
        rows = join(tables, cohorts, self.shelf.spec, {version: classes}).rows
        if not len(rows):
            return "no outcomes"
        cbpe = expected(task, calibrator, rows.answers).get(self.metric)
        realised = points(task, rows.by_days()).get(self.metric)
        if cbpe is None or realised is None:
            return f"{self.metric} is undefined"
        return PastWindow(str(span.first), str(span.last), version, self.metric, cbpe, unchanged, realised)
