"""Judge the candidate of a run: metrics, gates, champion; the record is evaluation.json."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from perennial.catalog.model import ModelSpec
from perennial.errors import ObjectMissing
from perennial.evaluation.blocks import CONFIDENCE, DRAWS, SEED, Interval, blocks_of
from perennial.evaluation.champion import NotComparable, champion_answers, verified
from perennial.evaluation.comparison import Compared, compare, not_comparable
from perennial.evaluation.fresh import fresh_rows
from perennial.evaluation.gates import Evidence, bound_gates, comparison_gate, window_gate
from perennial.evaluation.holdout import Holdout, read_holdout
from perennial.evaluation.metrics import METRICS, Scored, measure
from perennial.evaluation.plausible import carrier, plausible_gate
from perennial.evaluation.refit import Agreement, agreement
from perennial.evaluation.scoring import Graph
from perennial.monitoring.reference import refer
from perennial.registry import ModelVersion
from perennial.registry.registration import REFITTED
from perennial.rollout.scores import spread_of
from perennial.storage.objects import Objects

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Challenger:
    """The candidate of a run and its answers to its held-out rows."""

    spec: ModelSpec
    signature: dict[str, Any]
    training: dict[str, Any]
    holdout: Holdout
    model: bytes
    scored: Scored

    @property
    def tensors(self) -> dict[str, str]:
        """The graph's inputs by feature."""
        return {one["name"]: one["tensor"] for one in self.signature["inputs"]}

    @property
    def reference(self) -> dict[str, Any]:
        """What it was on the held-out rows, for who reads live quality against that."""
        held = self.holdout
        return refer(self.spec.task, held.label, self.scored.answers, held.days).to_json()

    def answers(self, model: bytes) -> Array:
        """What a graph of its signature answers to the held-out rows, float64 [n, k]."""
        return _answers(model, self.holdout, self.signature)

    def on(self, mask: Array, answers: Array) -> Scored:
        """Answers [n, k] of whichever model on the held-out rows of a mask [n]."""
        days = None if self.holdout.days is None else self.holdout.days[mask]
        return Scored(self.holdout.label[mask], answers[mask], blocks_of(days, int(mask.sum())))


def evaluate(spec: ModelSpec, run: str, objects: Objects, champion: ModelVersion | None) -> dict[str, Any]:
    """The evaluation record of a run (JSON); the same candidate and champion give the same record.

    Raises ObjectMissing when the workspace is incomplete, BundleInvalid when the champion's files are not the ones that
    were registered.
    """
    challenger = _read(spec, run, objects)
    metrics = measure(spec.task, challenger.scored)
    gates = bound_gates(spec.gates, metrics)
    if spec.train.window is not None:
        gates.append(window_gate(spec.train.window, challenger.training.get("window") or {}))
    former, compared, further = _against_champion(challenger, objects, champion)
    if compared is not None:
        gates += [comparison_gate(compared), *further]
    passed = all(gate["passed"] for gate in gates)
    deployed, refit, answers = _deployed(challenger, run, objects, metrics, passed=passed)
    return {
        "run": run,
        "model": spec.name,
        "passed": passed,
        "rows": len(challenger.holdout),
        "blocks": {"kind": challenger.scored.blocks.kind, "count": challenger.scored.blocks.count},
        "intervals": {"confidence": CONFIDENCE, "draws": DRAWS, "seed": SEED},
        "metrics": {name: metric.to_json() for name, metric in metrics.items()},
        # what a rollout compares live scores with
        "scores": spread_of(answers.tolist(), probabilities=spec.task != "regression").model_dump(mode="json"),
        # what the monitor reads live quality against: of the model that has not seen these rows, refitted or not
        "held_out": challenger.reference,
        "gates": gates,
        "champion": former,
        "comparison": None if compared is None else compared.to_json(),
        "refit": refit,
        "deployed": deployed,
    }


def _read(spec: ModelSpec, run: str, objects: Objects) -> Challenger:
    prefix = f"staging/{run}/"
    signature = objects.get_json(f"{prefix}signature.json")
    training = objects.get_json(f"{prefix}training.json")
    holdout = read_holdout(objects.get(f"{prefix}holdout.parquet"))
    model = objects.get(f"{prefix}model.onnx")
    scored = Scored(holdout.label, _answers(model, holdout, signature), blocks_of(holdout.days, len(holdout)))
    return Challenger(spec, signature, training, holdout, model, scored)


def _answers(model: bytes, holdout: Holdout, signature: dict[str, Any]) -> Array:
    return Graph(model).score({one["tensor"]: holdout.columns[one["name"]] for one in signature["inputs"]})


def _against_champion(
    challenger: Challenger, objects: Objects, champion: ModelVersion | None
) -> tuple[dict[str, Any] | None, Compared | None, list[Evidence]]:
    """The champion's record on the rows that neither has seen, the comparison that the spec asks for (None for a first
    model), and what gates follow from it.
    """
    if champion is None:
        return None, None, []
    spec = challenger.spec
    former: dict[str, Any] = {"version": champion.version, "sha256": champion.sha256, "metrics": {}}
    try:
        answers = champion_answers(objects, champion, challenger.holdout, challenger.signature)
        training, deployed = _past(objects, champion)
        fresh = fresh_rows(challenger.holdout, challenger.training, training, deployed)
    except NotComparable as error:
        asked = spec.comparison
        return former, None if asked is None else not_comparable(asked, str(error), error.rows), []
    ours = challenger.on(fresh.mask, challenger.scored.answers)
    theirs = Scored(ours.label, answers[fresh.mask], ours.blocks)
    measured = measure(spec.task, theirs)
    former |= {"metrics": {name: metric.to_json() for name, metric in measured.items()}, "rows": fresh.evidence}
    if spec.comparison is None:
        return former, None, []
    compared = compare(spec.task, spec.comparison, ours, theirs, fresh.evidence)
    further = [] if compared.difference is None else [_plausible(challenger, compared, measured, ours, champion)]
    return former, compared, further


def _past(objects: Objects, champion: ModelVersion) -> tuple[dict[str, Any], dict[str, Any]]:
    """How the champion was trained, and what evaluation said of what was then deployed of it."""
    training = json.loads(verified(objects, champion, "training.json"))
    evaluation = json.loads(verified(objects, champion, "evaluation.json"))
    return training, evaluation.get("deployed") or {}


def _plausible(
    challenger: Challenger, compared: Compared, champion: dict[str, Interval], ours: Scored, version: ModelVersion
) -> Evidence:
    spec = challenger.spec
    assert spec.comparison is not None  # noqa: S101 - there is no comparison without
    name = spec.comparison.metric
    value = float(METRICS[spec.task][name].prepare(ours)(ours.blocks.once)[0])
    then = version.metrics.get(name)
    gate = plausible_gate(spec.task, spec.comparison, compared, champion[name].value, then, value)
    if gate["passed"]:
        return gate
    graph = Graph(challenger.model)
    column, left = carrier(spec.task, name, graph, challenger.tensors, challenger.holdout, challenger.scored)
    return gate | {"column": column, "reason": f"{gate['reason']}; without {column!r} its {name} is {left:.4f}"}


def _deployed(
    challenger: Challenger, run: str, objects: Objects, metrics: dict[str, Interval], *, passed: bool
) -> tuple[dict[str, Any], dict[str, Any] | None, Array]:
    """Which of evaluated and refitted model becomes the version and why; the refitted one's checks; the answers of the
    chosen one to the held-out rows.
    """
    training = challenger.training
    digest = hashlib.sha256(challenger.model).hexdigest()
    own = {"refitted": False, "sha256": digest, "trained_until": training.get("trained_until")}
    asked = training.get("refit")
    if asked is None:
        return own | {"reason": "as evaluated"}, None, challenger.scored.answers
    record: dict[str, Any] = {"evaluated": digest, "refitted": asked["sha256"], "passed": False, "checks": []}
    if not passed or asked["failure"] is not None:
        reason = "as evaluated: it did not pass" if asked["failure"] is None else f"as evaluated: {asked['failure']}"
        return own | {"reason": reason}, record | {"reason": reason}, challenger.scored.answers
    model = objects.get(f"staging/{run}/{REFITTED['model.onnx']}")
    found = hashlib.sha256(model).hexdigest()
    if found != asked["sha256"]:
        raise ObjectMissing(f"staging/{run}/{REFITTED['model.onnx']} is not the model that the training recorded")
    answers = challenger.answers(model)
    checked = _agreement(challenger, answers, metrics)
    record |= {"passed": checked.passed, "checks": checked.checks, "reason": checked.reason}
    if not checked.passed:
        return own | {"reason": f"as evaluated: fitted again, {checked.reason}"}, record, challenger.scored.answers
    until = asked["trained_until"]
    reason = f"fitted again on all {asked['rows']} rows"
    return {"refitted": True, "sha256": found, "trained_until": until, "reason": reason}, record, answers


def _agreement(challenger: Challenger, answers: Array, metrics: dict[str, Interval]) -> Agreement:
    spec = challenger.spec
    metric = spec.comparison.metric if spec.comparison else next(iter(METRICS[spec.task]))
    return agreement(spec.task, metric, challenger.scored, answers, metrics)
