"""The harm test of the champion, carried from one complete day to the next.

    monitoring/<model>/harm/version=NNNNNNNN/day=YYYY-MM-DD.json     the state after that day

A state is written once, and follows from the one before it and the cohort of its day. So each day is told once, in
order, whoever looks, however often, and from where a look before this one ended.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from perennial.monitoring import DAY_FILES
from perennial.monitoring.calendar import ONE, Span
from perennial.monitoring.harm import Harm, read_harm, start, step
from perennial.monitoring.rows import join
from perennial.monitoring.shelf import Shelf
from perennial.monitoring.versions import Versions
from perennial.storage.objects import canonical_json


@dataclass(frozen=True)
class Chain:
    """The states of one version; `begins` finds the day on which it first served."""

    shelf: Shelf
    versions: Versions
    version: int
    begins: Callable[[], date]

    def until(self, last: date) -> Harm | None:
        """The state after the complete day `last`; None where the test has nothing to go by, or had not begun."""
        held_out = self.versions.held_out(self.version)
        if held_out is None or held_out.harm is None:
            return None
        first = max(self.begins(), self.shelf.oldest)
        before, day = None, last
        while day >= first and (before := self._find(day)) is None:
            day -= ONE
        if before is None and last < first:
            return None
        state = before or start(self.version, held_out.harm, self.shelf.spec.monitor.margin)
        return self._on(state, Span(day + ONE, last))

    def _on(self, state: Harm, span: Span) -> Harm:
        """The state after the days of `span`, each of which is written down."""
        self.shelf.list(Span(span.first - self.shelf.reach, span.last + self.shelf.horizon))
        self.shelf.cohorts(span)
        kind = self.versions.classes(self.version)
        for day in span:
            one = Span(day, day)
            tables, cohorts = self.shelf.days(one), self.shelf.cohorts(one)
            rows = join(tables, cohorts, self.shelf.spec, {self.version: kind[1] if kind else None}).rows
            state = step(state, day, rows.label, rows.answers)
            body = canonical_json(state.to_json())
            if not self.shelf.objects.create(self._key(day), body):
                state = self._find(day) or state
        return state

    def _find(self, day: date) -> Harm | None:
        found = self.shelf.objects.find_json(self._key(day))
        return None if found is None else read_harm(found)

    def _key(self, day: date) -> str:
        return f"{DAY_FILES}{self.shelf.spec.name}/harm/version={self.version:08d}/day={day}.json"
