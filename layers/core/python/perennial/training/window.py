"""Which rows of the dataset versions a training takes: those of a window of event time, whose labels have matured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from perennial.catalog.model import ModelSpec
from perennial.catalog.monitor import DAY
from perennial.datasets.arrays import mask_of
from perennial.errors import TrainingDataInvalid
from perennial.storage.objects import Objects
from perennial.training.data import join_tables, read_version, times_of
from perennial.training.label import labelled
from perennial.training.request import NamedVersion, TrainRequest

Array = np.ndarray[Any, Any]

# Why rows are left out, as training.json has it.
BEFORE, YOUNG, NO_TIME, NO_LABEL = "before the window", "not matured", "no event time", "no label"


@dataclass
class Selection:
    """What is read so far: a table per dataset version, and the rows left out by reason.

    `days` are the whole days that count, up to that of the newest labelled row; rows younger than `until` do not.
    """

    label: str
    event_time: str | None
    days: int | None
    until: datetime | None
    tables: dict[int, pa.Table] = field(default_factory=dict)
    left_out: dict[str, int] = field(default_factory=dict)
    unread: dict[str, list[int]] = field(default_factory=dict)
    newest: Any = None

    @property
    def start(self) -> Any:
        """The first instant of the window, datetime64[us]; None as long as nothing bounds it."""
        if self.days is None or self.newest is None:
            return None
        return (self.newest.astype("datetime64[D]") - np.timedelta64(self.days - 1, "D")).astype("datetime64[us]")

    def skip(self, version: NamedVersion) -> bool:
        """Whether no row of a version can count, which then need not be read."""
        first, last, start = version.first_event_time, version.last_event_time, self.start
        why = None
        if self.until is not None and first is not None and first > self.until:
            why = YOUNG
        elif start is not None and last is not None and _micros(last) < start:
            why = BEFORE
        if why is not None:
            self.unread.setdefault(why, []).append(version.version)
            self.count(why, version.rows)
        return why is not None

    def add(self, version: int, table: pa.Table) -> None:
        """Keep those rows of a version that count; of the others only their number."""
        before = self.start
        if self.event_time is not None:
            times = times_of(table.column(self.event_time))
            known = ~np.isnat(times)
            young = np.zeros(len(times), dtype=bool) if self.until is None else times > _micros(self.until)
            self.count(NO_TIME, int((~known).sum()))
            self.count(YOUNG, int((known & young).sum()))
            kept = known & ~young
            labels = mask_of(labelled(table.column(self.label)).combine_chunks())
            if (kept & labels).any():
                newest = times[kept & labels].max()
                self.newest = newest if self.newest is None else max(newest, self.newest)
            table = table.filter(pa.array(kept))
        self.tables[version] = table
        self.prune([version] if self.start == before else list(self.tables))

    def prune(self, versions: Sequence[int]) -> None:
        """Let go of the rows before the window, whose start moves as newer rows are read."""
        if self.start is None or self.event_time is None:
            return
        for version in versions:
            table = self.tables[version]
            kept = times_of(table.column(self.event_time)) >= self.start
            if not kept.all():
                self.count(BEFORE, int((~kept).sum()))
                self.tables[version] = table.filter(pa.array(kept))

    def count(self, why: str, rows: int) -> None:
        """So many more rows are left out for that reason."""
        if rows:
            self.left_out[why] = self.left_out.get(why, 0) + rows


@dataclass(frozen=True)
class Selected:
    """The rows of a training, in the order of those `versions` that have any; `evidence` is JSON."""

    table: pa.Table
    versions: list[NamedVersion]
    evidence: dict[str, Any]


def select(
    objects: Objects,
    request: TrainRequest,
    spec: ModelSpec,
    columns: Sequence[str],
    others: Sequence[str],
    event_time: str | None,
) -> Selected:
    """The rows that the spec's `window` and `maturity` leave, with the named columns (and `others` where there).

    Versions are read from the newest back, and no further than the window reaches. Raises TrainingDataInvalid when the
    request names no version, or no row has matured.
    """
    versions = request.ordered()
    if not versions:
        raise TrainingDataInvalid("the request names no dataset version")
    found = _selection(request, spec, event_time)
    for version in sorted(versions, key=_last, reverse=True) if found.days else versions:
        if not found.skip(version):
            found.add(version.version, read_version(objects, version, columns, others))
    if found.days is not None and found.newest is None:
        younger = found.left_out.get(YOUNG, 0)
        raise TrainingDataInvalid(
            f"model {spec.name}: no row with a label is older than {spec.train.maturity} s at "
            f"{request.as_of.isoformat()} ({younger} rows are younger)"
        )
    used = [version for version in versions if len(found.tables.get(version.version, ()))]
    kept = used or [version for version in versions if version.version in found.tables]
    if not kept:
        raise TrainingDataInvalid(f"model {spec.name}: all {found.left_out.get(YOUNG, 0)} rows have yet to mature")
    table = join_tables([found.tables[version.version] for version in kept])
    return Selected(table, kept, _evidence(found, table))


def _selection(request: TrainRequest, spec: ModelSpec, event_time: str | None) -> Selection:
    """With either of the two asked for, what claims to come after `as_of` cannot have matured."""
    train = spec.train
    bounded = event_time is not None and (train.window is not None or train.maturity > 0)
    return Selection(
        label=spec.label.column,
        event_time=event_time,
        days=train.window // DAY if bounded and train.window is not None else None,
        until=request.as_of - timedelta(seconds=train.maturity) if bounded else None,
    )


def _evidence(found: Selection, table: pa.Table) -> dict[str, Any]:
    labels = mask_of(labelled(table.column(found.label)).combine_chunks())
    found.count(NO_LABEL, int((~labels).sum()))
    first = last = None
    if found.event_time is not None and labels.any():
        times = times_of(table.column(found.event_time))[labels]
        first, last = iso(times.min()), iso(times.max())
    return {
        "from": first,
        "to": last,
        "days": found.days,
        "matured_until": None if found.until is None else found.until.astimezone(UTC).isoformat(),
        "left_out": dict(sorted(found.left_out.items())),
        "versions_not_read": {why: sorted(numbers) for why, numbers in sorted(found.unread.items())},
    }


def iso(time: Any) -> str:
    """A datetime64 in UTC as text, to the second."""
    return f"{np.datetime_as_string(time, unit='s')}Z"


def _last(version: NamedVersion) -> tuple[datetime, int]:
    """A version of which nobody knows until when it goes is read first."""
    return version.last_event_time or datetime.max.replace(tzinfo=UTC), version.version


def _micros(at: datetime) -> Any:
    return np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us")
