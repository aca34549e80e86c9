"""Judge the candidate of a run: metrics, gates, champion; the record is evaluation.json."""

from __future__ import annotations

from typing import Any

from perennial.catalog.model import ModelSpec
from perennial.evaluation.blocks import CONFIDENCE, DRAWS, SEED, blocks_of
from perennial.evaluation.champion import NotComparable, champion_answers
from perennial.evaluation.comparison import Compared, compare, not_comparable
from perennial.evaluation.gates import bound_gates, comparison_gate
from perennial.evaluation.holdout import Holdout, read_holdout
from perennial.evaluation.metrics import Scored, measure
from perennial.evaluation.scoring import Graph
from perennial.monitoring.reference import refer
from perennial.registry import ModelVersion
from perennial.rollout.scores import spread_of
from perennial.storage.objects import Objects


def evaluate(spec: ModelSpec, run: str, objects: Objects, champion: ModelVersion | None) -> dict[str, Any]:
    """The evaluation record of a run (JSON); the same candidate and champion give the same record.

    Raises ObjectMissing when the workspace is incomplete, BundleInvalid when the champion's files are not the ones that
    were registered.
    """
    prefix = f"staging/{run}/"
    signature = objects.get_json(f"{prefix}signature.json")
    holdout = read_holdout(objects.get(f"{prefix}holdout.parquet"))
    graph = Graph(objects.get(f"{prefix}model.onnx"))
    blocks = blocks_of(holdout.days, len(holdout))
    answers = graph.score({one["tensor"]: holdout.columns[one["name"]] for one in signature["inputs"]})
    challenger = Scored(holdout.label, answers, blocks)
    metrics = measure(spec.task, challenger)
    gates = bound_gates(spec.gates, metrics)
    former, compared = _against_champion(spec, objects, champion, holdout, signature, challenger)
    if compared is not None:
        gates.append(comparison_gate(compared))
    return {
        "run": run,
        "model": spec.name,
        "passed": all(gate["passed"] for gate in gates),
        "rows": len(holdout),
        "blocks": {"kind": blocks.kind, "count": blocks.count},
        "intervals": {"confidence": CONFIDENCE, "draws": DRAWS, "seed": SEED},
        "metrics": {name: metric.to_json() for name, metric in metrics.items()},
        # what a rollout compares live scores with
        "scores": spread_of(answers.tolist(), probabilities=spec.task != "regression").model_dump(mode="json"),
        # what the monitor reads live quality against
        "held_out": refer(spec.task, holdout.label, answers, holdout.days).to_json(),
        "gates": gates,
        "champion": former,
        "comparison": None if compared is None else compared.to_json(),
    }


def _against_champion(
    spec: ModelSpec,
    objects: Objects,
    champion: ModelVersion | None,
    holdout: Holdout,
    signature: dict[str, Any],
    challenger: Scored,
) -> tuple[dict[str, Any] | None, Compared | None]:
    """The champion's record on the same rows, and the comparison that the spec asks for; None for a first model."""
    if champion is None:
        return None, None
    former: dict[str, Any] = {"version": champion.version, "sha256": champion.sha256, "metrics": {}}
    try:
        answers = champion_answers(objects, champion, holdout, signature)
    except NotComparable as error:
        return former, None if spec.comparison is None else not_comparable(spec.comparison, str(error))
    scored = Scored(holdout.label, answers, challenger.blocks)
    former["metrics"] = {name: metric.to_json() for name, metric in measure(spec.task, scored).items()}
    if spec.comparison is None:
        return former, None
    return former, compare(spec.task, spec.comparison, challenger, scored)
