"""Stage predict during an experiment: two versions of the model in one function, each row answered by its entity's.

    POST /v2/models/<model>/infer                    each row by the arm of its entity
    POST /v2/models/<model>/versions/<version>/…     one of the two, asked by its number: no part of the experiment

A reply to rows of both arms keeps their order and is the champion's by its model_version; its parameter `versions`
names the version that answered each row. A record is of one arm, as every record is of one version, so the ids of a
request's rows begin differently by arm.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from perennial.errors import BundleInvalid
from perennial.serving.assignment import ARMS, CHALLENGER, CHAMPION, MAX_DESIGN_BYTES, Design, mismatch, parse_design
from perennial.serving.bundle import DESIGN, Bundle, read_file, verify
from perennial.serving.envelope import Reply
from perennial.serving.errors import ModelFault
from perennial.serving.inputs import Array
from perennial.serving.predictor import Scores
from perennial.serving.record import Columns, Values, dumps, lines
from perennial.serving.service import Event, Service

# Behind the date and the request in ids of rows; a row that takes no part has an id as without an experiment.
_MARKS = {CHAMPION: "a", CHALLENGER: "b", None: ""}


class _Part(NamedTuple):
    """The rows of a request that one arm answers, by their place in it; `ids` is what their ids begin with."""

    arm: str | None
    rows: list[int]
    scores: Scores
    score_us: int
    ids: str


class Split(Service):
    """Answers for a champion and its challenger."""

    def __init__(
        self, champion: Bundle, challenger: Bundle, design: Design, lambda_version: str, write: Callable[[str], Any]
    ) -> None:
        """Load two verified bundles. Raises BundleInvalid when the one cannot stand for the other."""
        super().__init__(champion, lambda_version, write)
        self._challenger = Service(challenger, lambda_version, write)
        self._design = design
        why = mismatch(self.predictor.signature, self._challenger.predictor.signature, design.entity)
        if why is not None:
            raise BundleInvalid(why)
        self._services: dict[str | None, Service] = {CHAMPION: self, CHALLENGER: self._challenger, None: self}
        self._versions = {CHAMPION: champion.version, CHALLENGER: challenger.version, None: champion.version}
        self._heads_of = {arm: self._heads_in(arm) for arm in _MARKS}
        self._direct = f"/v2/models/{champion.model}/versions/{challenger.version}"
        self._routes[f"/v2/models/{champion.model}/infer"] = ("POST", self._split)

    def handle(self, event: Event, request_id: str) -> Reply:
        """See Service; what names the challenger's version goes to it alone."""
        path = event.get("rawPath", "")
        if path == self._direct or path.startswith(f"{self._direct}/"):
            return self._challenger.handle(event, request_id)
        return super().handle(event, request_id)

    def _heads_in(self, arm: str | None) -> dict[bool, str]:
        """The heads of an arm's records, which say its part in the experiment."""
        heads = self._services[arm].heads
        if arm is None:
            return heads
        part = dumps({"arm": arm, "salt": self._design.salt, "propensity": self._design.propensity(arm)})
        return {smoke: f"{head}{part[1:-1]}," for smoke, head in heads.items()}

    def _split(self, event: Event, request_id: str, now: int) -> Reply:
        request = self._read(event)
        columns = _by_name(request.columns, request.rows)
        arms = self._design.arms(columns, request.rows)
        date, at = self._moment.texts(now)
        parts = []
        for arm, mark in _MARKS.items():
            rows = [row for row, assigned in enumerate(arms) if assigned == arm]
            if not rows:
                continue
            service, began = self._services[arm], time.perf_counter_ns()
            try:
                scores = service.predictor.score(_of(request.feeds, rows, request.rows), len(rows))
            except ModelFault as fault:
                return service.failed(fault, request_id, now)
            score_us = (time.perf_counter_ns() - began) // 1000
            parts.append(_Part(arm, rows, scores, score_us, f"{date}-{request_id.replace('-', '')}{mark}"))
        scores, identities = _whole(parts, request.rows)
        answer = self._answers.answer(scores)
        reply = self._answers.reply(
            request, answer, identities, dumps({"versions": [self._versions[arm] for arm in arms]})
        )
        whereabouts = self._whereabouts(event, request_id)
        for part in parts:
            head = f'{self._heads_of[part.arm]["smoke" in event]}"id":"{request_id}","ids":"{part.ids}","at":"{at}",'
            tail = f'"score_us":{part.score_us},{whereabouts}'
            inputs = Values({name: [column[row] for row in part.rows] for name, column in columns.items()})
            for line in lines(head, tail, len(part.rows), inputs, answer.take(part.rows)):
                self._write(line)
        return reply


def open_split(directory: str, lambda_version: str, write: Callable[[str], Any]) -> Split:
    """The service of the two bundles in `directory`. Raises BundleInvalid, before anything of a bundle is parsed, when
    one of them is not the one of its manifest, or not the one of experiment.json.
    """
    root = Path(directory)
    extra = sorted({entry.name for entry in os.scandir(root)} - {DESIGN, *ARMS})
    if extra:
        raise BundleInvalid(f"{extra[0]}: is beside {DESIGN} and the two bundles")
    design = parse_design(read_file(root, DESIGN, MAX_DESIGN_BYTES))
    bundles = {arm: _verified(root / arm, arm, design) for arm in ARMS}
    if len({bundle.model for bundle in bundles.values()}) != 1:
        raise BundleInvalid("champion and challenger are of different models")
    return Split(bundles[CHAMPION], bundles[CHALLENGER], design, lambda_version, write)


def _verified(folder: Path, arm: str, design: Design) -> Bundle:
    wanted = design.champion if arm == CHAMPION else design.challenger
    try:
        bundle = verify(folder)
    except (BundleInvalid, OSError) as error:
        raise BundleInvalid(f"{arm}: {error}") from error
    if (bundle.version, bundle.sha256) != wanted:
        raise BundleInvalid(f"{arm}: is version {bundle.version}, or other files, than {DESIGN} says")
    return bundle


def _by_name(columns: Columns, rows: int) -> Mapping[str, Sequence[Any]]:
    if isinstance(columns, Values):
        return columns.by_name
    found: dict[str, list[Any]] = json.loads(columns.json(0, rows))
    return found


def _whole(parts: Sequence[_Part], rows: int) -> tuple[Scores, list[str]]:
    """Scores and prediction ids in the request's order."""
    values: list[list[float]] = [[]] * rows
    chosen, identities = [0] * rows, [""] * rows
    for part in parts:
        for place, row in enumerate(part.rows):
            values[row] = part.scores.values[place]
            identities[row] = f"{part.ids}-{place}"
            if part.scores.chosen is not None:
                chosen[row] = part.scores.chosen[place]
    return Scores(values, None if parts[0].scores.chosen is None else chosen), identities


def _of(feeds: dict[str, Array], members: list[int], rows: int) -> dict[str, Array]:
    """The feeds of some of the rows."""
    return feeds if len(members) == rows else {tensor: column[members] for tensor, column in feeds.items()}
