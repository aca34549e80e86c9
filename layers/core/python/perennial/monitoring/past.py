"""How well the estimate without labels did on past windows, each judged once, when its outcomes had come.

    monitoring/<model>/estimates/days=<length>/<first day>.json     that window, and KEPT before it

Past windows lie on a fixed grid of days, so none overlaps another whoever looks and when. A look judges the newest that
is complete, if nobody has; else it reads one object, however many windows there were.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from perennial.evaluation.metrics import points
from perennial.monitoring import DAY_FILES
from perennial.monitoring.calendar import Span, last_settled
from perennial.monitoring.estimate import PastWindow, expected
from perennial.monitoring.rows import join, versions_of
from perennial.monitoring.shelf import Shelf
from perennial.monitoring.versions import Versions
from perennial.storage.objects import canonical_json

_ORIGIN = date(1970, 1, 1)
KEPT = 24


@dataclass(frozen=True)
class Past:
    """The past windows of a model, of `length` days, by its metric."""

    shelf: Shelf
    versions: Versions
    metric: str
    length: int

    def windows(self) -> list[PastWindow]:
        """The newest that were judged, oldest first; raises StorageUnavailable."""
        newest = self._newest()
        oldest = newest.first - timedelta(days=KEPT * self.length)
        own = self._key(newest.first)
        found = [key for key in self.shelf.objects.list(self._prefix, start_after=self._key(oldest)) if key <= own]
        told = self.shelf.objects.get_json(found[-1]) if found else []
        if own not in found and newest.first >= self.shelf.oldest:
            told = self._judge(newest, told)
        return [PastWindow(**one) for one in told]

    @property
    def _prefix(self) -> str:
        return f"{DAY_FILES}{self.shelf.spec.name}/estimates/days={self.length}/"

    def _key(self, first: date) -> str:
        return f"{self._prefix}{first}.json"

    def _newest(self) -> Span:
        """The newest window of the grid whose cohorts are all complete."""
        complete = last_settled(self.shelf.as_of) - self.shelf.horizon
        number = ((complete - _ORIGIN).days + 1) // self.length - 1
        first = _ORIGIN + timedelta(days=number * self.length)
        return Span(first, first + timedelta(days=self.length - 1))

    def _judge(self, span: Span, before: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Add a window to those before it, and write them down once; one that says nothing is not added."""
        found = self._judged(span)
        told = before if found is None else [*before, found.to_json()][-KEPT:]
        if not self.shelf.objects.create(self._key(span.first), canonical_json(told)):
            told = self.shelf.objects.get_json(self._key(span.first))
        return told

    def _judged(self, span: Span) -> PastWindow | None:
        """What was estimated of a window, and what it was; None without traffic or outcomes, or where nobody knows."""
        self.shelf.list(Span(span.first - self.shelf.reach, span.last + self.shelf.horizon))
        tables, cohorts = self.shelf.days(span), self.shelf.cohorts(span)
        answered = Counter(int(one) for table in tables.values() for one in versions_of(table))
        if not answered:
            return None
        version = min(answered, key=lambda one: (-answered[one], one))
        kind, held_out = self.versions.classes(version), self.versions.held_out(version)
        unchanged = self.versions.trained(version).get(self.metric)
        if kind is None or held_out is None or held_out.calibrator is None or unchanged is None:
            return None
        task, classes = kind
        rows = join(tables, cohorts, self.shelf.spec, {version: classes}).rows
        if not len(rows):
            return None
        cbpe = expected(task, held_out.calibrator, rows.answers).get(self.metric)
        realised = points(task, rows.by_days()).get(self.metric)
        if cbpe is None or realised is None:
            return None
        return PastWindow(str(span.first), str(span.last), version, self.metric, cbpe, unchanged, realised)
