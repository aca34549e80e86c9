"""Stage train: a Fargate task for the request at S3 key RUN_REQUEST; with TUNE_CHUNK it searches parameters for it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from perennial.catalog.load import load_catalog
from perennial.governance.ledger import Ledger
from perennial.settings import TrainSettings
from perennial.stage import task
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.training import kernels


def run(settings: TrainSettings, progress: Callable[[str], None]) -> None:
    """Train the requested run and record it, or search parameters for it."""
    # numpy is loaded here and not before: BLAS takes its kernel from the environment when it is loaded
    kernels.pin()
    from perennial.training.provenance import code_sha256
    from perennial.training.request import TrainRequest
    from perennial.training.run import EVIDENCE, search_part, train

    objects = Objects(settings.data_bucket)
    request = TrainRequest.model_validate(objects.get_json(settings.run_request))
    catalog = load_catalog(request.catalog.bucket, request.catalog.key)
    if settings.tune_chunk is not None:
        return search_part(request, settings.tune_chunk, catalog, objects, progress)
    code = code_sha256([Path(__file__).parents[1] / name for name in ("train", "evaluate")])
    record = train(request, catalog, objects, code, progress)
    Ledger(Objects(settings.ledger_bucket), Items(settings.registry_table)).append(
        f"model/{request.model}",
        "trained",
        key=f"trained/{request.run}",
        at=request.as_of,
        actor="train",
        evidence={name: record[name] for name in EVIDENCE},
    )


def main() -> int:
    """0 when the candidate lies in its workspace; else 1, and the reason in error.json beside the request."""
    settings = TrainSettings.from_environment()
    objects = Objects(settings.data_bucket)
    error_key = f"{settings.run_request.rpartition('/')[0]}/error.json"

    def attempt(progress: Callable[[str], None]) -> None:
        # of an attempt before (the role may not delete); of tasks side by side, none may take back what another said
        if settings.tune_chunk is None and objects.find_json(error_key):
            objects.put_json(error_key, {})
        run(settings, progress)

    return task("train", attempt, lambda error, cause: objects.put_json(error_key, {"error": error, "cause": cause}))


if __name__ == "__main__":
    sys.exit(main())
