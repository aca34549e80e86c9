"""Parameters searched within a budget: successive halving over growing shares of the training rows.

Each round keeps the better third on three times the rows and so costs about one fit on all of them. Candidates are
compared on the last days of the training side; the held-out rows have no part in the search. Source: Jamieson and
Talwalkar, Non-stochastic Best Arm Identification and Hyperparameter Optimization (2016). Not scikit-learn's
HalvingRandomSearchCV, whose resource is rows drawn one by one: rows of one day would lie on both sides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any

import numpy as np

from perennial.catalog.model import ModelSpec
from perennial.catalog.train import Tune
from perennial.errors import TrainingDataInvalid
from perennial.evaluation.blocks import blocks_of
from perennial.evaluation.metrics import METRICS, Scored, points
from perennial.training.data import Rows, without_unseen_classes
from perennial.training.features import Feature
from perennial.training.pipeline import fit
from perennial.training.scoring import predict
from perennial.training.split import content_hashes, split

Array = np.ndarray[Any, Any]
Params = dict[str, Any]

# The share that each round keeps, and by which the rows grow.
THIRD = 3


@dataclass(frozen=True)
class Search:
    """What candidates are fitted on and compared by; `place` [n] in [0, 1) says from which share on a row is used."""

    spec: ModelSpec
    features: Sequence[Feature]
    train: Rows
    validation: Rows
    place: Array
    seed: int
    own: Mapping[str, str]
    evidence: dict[str, Any]

    @property
    def metric(self) -> str:
        """The metric of the comparison, else the task's first."""
        comparison = self.spec.comparison
        return comparison.metric if comparison else next(iter(METRICS[self.spec.task]))


def search(spec: ModelSpec, features: Sequence[Feature], rows: Rows, seed: int, own: Mapping[str, str]) -> Search:
    """A search on the training side of a split. Raises TrainingDataInvalid when its last days cannot compare."""
    try:
        sides = split(rows, spec.train.split.holdout, seed)
    except TrainingDataInvalid as error:
        raise TrainingDataInvalid(f"model {spec.name}: train.tune cannot compare candidates: {error}") from error
    evidence = sides.evidence | {"rows": len(sides.holdout)}
    return Search(spec, features, sides.train, sides.holdout, places(sides.train, seed), seed, own, evidence)


def places(rows: Rows, seed: int) -> Array:
    """The place [n] in [0, 1) of each row in an order of whole days drawn by the seed; without days, of its content.

    Rows below a share s are about s of them, and a greater share has all rows of a smaller one.
    """
    if rows.time is None:
        order = np.argsort(content_hashes(rows, seed), kind="stable")
        found = np.empty(len(rows))
        found[order] = np.arange(len(rows)) / len(rows)
        return found
    _, index, counts = np.unique(rows.time.astype("datetime64[D]"), return_inverse=True, return_counts=True)
    order = np.random.default_rng(seed).permutation(len(counts))
    starts = np.empty(len(counts))
    starts[order] = (np.cumsum(counts[order]) - counts[order]) / len(rows)
    placed: Array = starts[index]
    return placed


def draw(tune: Tune, seed: int) -> list[Params]:
    """Different combinations of the space, drawn by the seed: `candidates` of them, or all when there are fewer."""
    names = sorted(tune.space)
    sizes = [len(tune.space[name]) for name in names]
    wanted, random = min(tune.candidates, prod(sizes)), Random(seed)  # noqa: S311 - a draw that can be repeated
    drawn: dict[int, None] = {}
    while len(drawn) < wanted:
        drawn.setdefault(random.randrange(prod(sizes)))
    return [_combination(tune, names, number) for number in drawn]


def _combination(tune: Tune, names: Sequence[str], number: int) -> Params:
    found: Params = {}
    for name in names:
        number, place = divmod(number, len(tune.space[name]))
        found[name] = tune.space[name][place]
    return found


def shares(candidates: int) -> list[float]:
    """The share of the rows in each round, the last a third: one round for up to 3 candidates, two for up to 9, …"""
    rounds = 1
    while THIRD**rounds < candidates:
        rounds += 1
    return [THIRD ** (number - rounds) for number in range(rounds)]


def halve(found: Search, tune: Tune, chunk: int) -> dict[str, Any]:
    """The search among the candidates of one of `tune.tasks` chunks; what came of it as JSON.

    Equal arguments give equal results. Raises CatalogInvalid for parameters that the estimator does not take.
    """
    mine = draw(tune, found.seed)[chunk :: tune.tasks]
    scores: list[list[float | None]] = [[] for _ in mine]
    left, rounds = list(range(len(mine))), []
    for share in shares(len(mine)) if mine else []:
        rows = _share(found, share)
        for place in left:
            scores[place].append(_score(found, mine[place], rows))
        rounds.append({"candidates": len(left), "rows": len(rows), **_days(rows)})
        left = sorted(left, key=lambda place: _rank(found, scores[place][-1], place))[: -(-len(left) // THIRD)]
    return {
        "chunk": chunk,
        "validation": found.evidence,
        "rounds": rounds,
        "candidates": [{"params": params, "scores": scores[place]} for place, params in enumerate(mine)],
        "best": left[0] if left else None,
    }


def choose(found: Search, tune: Tune, chunks: Sequence[Mapping[str, Any]]) -> tuple[Params, dict[str, Any]]:
    """The best of the chunks' best, all scored on a third of the rows, with the record of the search (JSON)."""
    ranked = sorted(
        (chunk for chunk in chunks if chunk["best"] is not None),
        key=lambda chunk: _rank(found, chunk["candidates"][chunk["best"]]["scores"][-1], chunk["chunk"]),
    )
    best: Params = ranked[0]["candidates"][ranked[0]["best"]]["params"]
    return best, {
        "metric": found.metric,
        "seed": found.seed,
        "combinations": prod(len(values) for values in tune.space.values()),
        "validation": found.evidence,
        "chunks": [{name: value for name, value in chunk.items() if name != "validation"} for chunk in chunks],
        "chosen": best,
    }


def with_params(spec: ModelSpec, params: Params) -> ModelSpec:
    """The spec with further parameters of its estimator."""
    train = spec.train.model_copy(update={"params": {**spec.train.params, **params}})
    return spec.model_copy(update={"train": train})


def _share(found: Search, share: float) -> Rows:
    """At least that share of the rows: more, where so few would have one class only or be too few to train on."""
    while share < 1:
        chosen = found.place < share
        classes = 2 if found.train.classes is None else len(np.unique(found.train.label[chosen]))
        if chosen.sum() >= found.spec.train.min_rows and classes > 1:
            return found.train.take(chosen)
        share *= THIRD
    return found.train


def _score(found: Search, params: Params, rows: Rows) -> float | None:
    train, test = without_unseen_classes(rows, found.validation)
    spec = with_params(found.spec, params)
    pipeline = fit(spec, found.features, train.features, train.label, found.seed, found.own)
    answers = predict(pipeline, test.features, spec.task)
    return points(spec.task, Scored(test.label, answers, blocks_of(None, len(test)))).get(found.metric)


def _rank(found: Search, score: float | None, place: int) -> tuple[float, int]:
    """Better ones first; of equals the one that was drawn first; where the metric is undefined last."""
    sign = -1 if METRICS[found.spec.task][found.metric].greater_is_better else 1
    return (float("inf") if score is None else sign * score, place)


def _days(rows: Rows) -> dict[str, int]:
    return {} if rows.time is None else {"days": len(np.unique(rows.time.astype("datetime64[D]")))}
