"""Stage train: a Fargate task; its request lies at the S3 key in RUN_REQUEST."""

from __future__ import annotations

import logging
import sys
from datetime import datetime

from perennial.catalog.load import load_catalog
from perennial.errors import PerennialError
from perennial.governance.ledger import Ledger
from perennial.settings import TrainSettings
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from perennial.training.run import train, workspace

log = logging.getLogger("perennial.train")


def main() -> int:
    """Train the requested run; 0 when the candidate lies in its workspace, else 1 and the reason in error.json."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stdout)
    settings = TrainSettings.from_environment()
    objects = Objects(settings.data_bucket)
    request = objects.get_json(settings.run_request)
    try:
        catalog = load_catalog(request["catalog"]["bucket"], request["catalog"]["key"])
        record = train(request, catalog, objects)
        ledger = Ledger(Objects(settings.ledger_bucket), Items(settings.registry_table))
        evidence = {name: record[name] for name in ("run", "datasets", "algorithm", "metrics", "rows", "parity")}
        at = datetime.fromisoformat(request["as_of"])
        subject = f"model/{request['model']}"
        ledger.append(subject, "trained", key=f"trained/{request['run']}", at=at, actor="train", evidence=evidence)
    except (PerennialError, ValueError, MemoryError) as error:
        log.exception("training failed")
        reason = {"error": type(error).__name__, "cause": str(error)}
        objects.put_json(workspace(request["run"]) + "error.json", reason)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
