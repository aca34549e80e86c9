"""The year itself: day by day requests, week by week outcomes, month by month data; the deployed loop does the rest."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.evaluation.metrics import METRICS
from scripts.cli.deployment import Deployment
from scripts.cli.output import Failure
from scripts.replay.bad import BadChallengers
from scripts.replay.baselines import Baselines, metric_of
from scripts.replay.drive import Drive
from scripts.replay.events import told
from scripts.replay.example import Example, Year
from scripts.replay.timeline import Month, Timeline
from scripts.replay.traffic import Traffic
from scripts.steps import Say

NOON = time(12, tzinfo=UTC)
# Outcomes are told on Mondays, a month's file comes on the second of the next one.
MONDAY, SECOND = 0, 2


@dataclass
class Replay:
    """One example's year on a running cloud whose clock stands at its beginning."""

    deployment: Deployment
    example: Example
    year: Year
    folder: Path
    drive: Drive = field(init=False)
    timeline: Timeline = field(init=False)

    def __post_init__(self) -> None:
        self.drive = Drive(self.deployment)
        self._began = self.drive.now()
        self.spec: ModelSpec = self.deployment.catalog.model(self.example.model)
        metric = metric_of(self.spec)
        better = METRICS[self.spec.task][metric].greater_is_better
        self.timeline = Timeline(self.example.name, self.spec.name, metric, better)

    def first_model(self, say: Say) -> None:
        """Drop the first months and wait until a model of them serves."""
        for file in self.year.files[: self.example.trained]:
            say(f"dropping {file.name}")
            self.drop(file)
        say("training the first model")
        registry = self.deployment.registry
        self.drive.settle()
        self.drive.until(lambda: registry.champion(self.spec.name), "the first model to serve")

    def months(self, say: Say) -> None:
        """All days that follow the first model's, each with what is due on it."""
        traffic = Traffic(self.deployment, self.example, self.spec)
        later = iter(self.year.files[self.example.trained :])
        days = self.year.days
        for day in _days(min(days), max(days)):
            say(f"{day:%d %B}: {traffic.requests:,} requests so far")
            self._until(datetime.combine(day, NOON))
            in_rollout = self.deployment.rollout(self.spec.name) is not None
            traffic.ask(day, days.get(day, []), singly=in_rollout)
            if day.weekday() == MONDAY:
                self.tell(traffic, day)
            if day.day == SECOND and day > min(days) + timedelta(days=27):
                self.drop(next(later))
        self._finish(traffic, later, max(days))
        self.timeline.months = [
            Month(month, len(served.label), dict(served.by_version), traffic.metric(month))
            for month, served in sorted(traffic.months.items())
        ]
        self.timeline.requests, self.timeline.faults = traffic.requests, len(traffic.faults)

    def _finish(self, traffic: Traffic, later: Any, last: date) -> None:
        """What is still under way comes to its end: the last outcomes, the last month's file, the last window."""
        day = last + timedelta(days=2)
        self._until(datetime.combine(day, NOON))
        self.tell(traffic, day)
        for file in later:
            self.drop(file)
        for ahead in range(1, 8):
            self._until(datetime.combine(day + timedelta(days=ahead), NOON))

    def _until(self, moment: datetime) -> None:
        """Move on to a moment; ends when what was due by then is done, the monitor's looks too."""
        self.drive.to(moment)
        self.drive.settle()
        every = re.fullmatch(r"rate\((\d+) days?\)", self.spec.monitor.schedule or "")
        if every is not None:
            self.drive.watched(self.spec.name, (moment - self._began).days // int(every[1]))

    def drop(self, file: Path) -> None:
        """Put a month's file into the bucket; ends when its rows are a dataset version and the loop is quiet."""
        before = len(self.deployment.executions("ingest"))
        key = f"raw/{self.example.dataset}/{file.name}"
        self.deployment.client("s3").upload_file(str(file), self.deployment.data.bucket, key)
        self.drive.until(lambda: len(self.deployment.executions("ingest")) > before, f"the ingestion of {file.name}")
        self.drive.settle()
        failed = [one["name"] for one in self.deployment.executions("ingest") if one["status"] != "SUCCEEDED"]
        if failed:
            raise Failure(f"ingest executions failed: {failed}")

    def tell(self, traffic: Traffic, day: date) -> None:
        """Put the outcomes that are known into the bucket; ends when they are recorded."""
        text = traffic.outcomes()
        if text is None:
            return
        name = f"outcomes-{day}.csv"
        (self.folder / name).write_text(text, encoding="utf-8")
        key, subject, ledger = f"feedback/{self.spec.name}/{name}", f"feedback/{self.spec.name}", self.deployment.ledger
        before = len(list(ledger.read(subject)))
        self.deployment.client("s3").upload_file(str(self.folder / name), self.deployment.data.bucket, key)
        self.drive.until(lambda: len(list(ledger.read(subject))) > before, f"the outcomes of {name}")

    def inject(self, say: Say) -> None:
        """Three bad challengers, each of which has to be refused."""
        makers = BadChallengers(self.deployment, self.spec)
        for kind in makers.kinds:
            say(kind)
            self.timeline.refused.append(vars(makers.inject(kind, self.drive.now())))

    def compare(self, say: Say) -> None:
        """Both baselines, on the same rows; and the story of the year."""
        say("never retrained")
        found = Baselines(self.deployment.catalog, self.spec, self.deployment.items, self.deployment.data)
        months = [month.month for month in self.timeline.months]
        first = next(one for one in self.deployment.registry.list_versions(self.spec.name) if one.version == 1)
        frozen, always = found.frozen(first, months), dict(found.always(months, say))
        for month in self.timeline.months:
            month.frozen, month.always = frozen[month.month], always[month.month]
        told(self.deployment, self.drive, self.timeline)


def _days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=ahead) for ahead in range((last - first).days + 1)]
