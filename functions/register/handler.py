"""Stage register: the candidate becomes a model version, passed or refused."""

from __future__ import annotations

from perennial.events import MODEL_VERSION_REGISTERED, ModelVersionRegistered, RegisterOutput, RunInput
from perennial.governance.ledger import Ledger
from perennial.registry import Registry
from perennial.registry.registration import register
from perennial.settings import RegisterSettings
from perennial.stage import stage
from perennial.storage.bus import Bus
from perennial.storage.items import Items
from perennial.storage.objects import Objects


def run(message: RunInput) -> RegisterOutput:
    """Register a run; the same run always gets the same version."""
    settings = RegisterSettings.from_environment()
    items = Items(settings.registry_table)
    found = register(
        message.model,
        message.run,
        message.as_of,
        Objects(settings.data_bucket),
        Registry(items),
        approval=settings.approval_required,
    )
    passed = found.state != "refused"
    fact = ModelVersionRegistered(
        model=found.model, version=found.version, run=found.run, passed=passed, sha256=found.sha256, as_of=found.at
    )
    promoted = {"promoted_from": found.promoted_from.model_dump(mode="json")} if found.promoted_from else {}
    Ledger(Objects(settings.ledger_bucket), items).append(
        f"model/{found.model}",
        "registered",
        key=f"registered/{found.run}",
        at=found.at,
        actor="register",
        evidence=fact.model_dump(mode="json") | promoted,
    )
    Bus(settings.bus).put(MODEL_VERSION_REGISTERED, fact)
    return RegisterOutput(
        model=found.model,
        run=found.run,
        version=found.version,
        passed=passed,
        sha256=found.sha256,
        prefix=found.prefix,
    )


lambda_handler = stage("register", RunInput, run)
