"""Stage evaluate: metrics, gates and the comparison with the champion; the verdict and its evidence."""

from __future__ import annotations

from perennial.catalog.load import load_catalog
from perennial.evaluation.run import evaluate
from perennial.events import EvaluateOutput, RunInput
from perennial.governance.ledger import Ledger
from perennial.registry import Registry
from perennial.settings import EvaluateSettings
from perennial.stage import stage
from perennial.storage.items import Items
from perennial.storage.objects import Objects, canonical_json

EVIDENCE = ("run", "passed", "rows", "blocks", "metrics", "gates", "champion", "comparison", "refit", "deployed")


def run(message: RunInput) -> EvaluateOutput:
    """Judge a run; a candidate that fails its gates is an answer, not an error."""
    settings = EvaluateSettings.from_environment()
    objects, items = Objects(settings.data_bucket), Items(settings.registry_table)
    spec = load_catalog(settings.catalog_bucket, settings.catalog_key).model(message.model)
    record = evaluate(spec, message.run, objects, Registry(items).champion(message.model))
    key = f"staging/{message.run}/evaluation.json"
    # the first verdict stands: a repetition may meet another champion, and the ledger has recorded this one
    if not objects.create(key, canonical_json(record)):
        record = objects.get_json(key)
    Ledger(Objects(settings.ledger_bucket), items).append(
        f"model/{message.model}",
        "gated",
        key=f"gated/{message.run}",
        at=message.as_of,
        actor="evaluate",
        evidence={name: record[name] for name in EVIDENCE},
    )
    return EvaluateOutput(model=message.model, run=message.run, passed=record["passed"], evaluation_key=key)


lambda_handler = stage("evaluate", RunInput, run)
