"""One range of a planned batch is scored into its part; a part that is there already stays as it is."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory

from perennial.errors import BundleInvalid, ObjectMissing, PlanLost, ScoringFailed
from perennial.registry import Registry
from perennial.registry.fetch import fetch
from perennial.scoring.answers import Told, answers, to_parquet
from perennial.scoring.batch import SUCCESS
from perennial.scoring.commit import Stores
from perennial.scoring.events import ScoreInput, ScoreOutput
from perennial.scoring.ranges import Range, range_of, read_rows
from perennial.serving.predictor import Predictor
from perennial.storage.items import Items
from perennial.storage.objects import Objects


def score_range(message: ScoreInput, stores: Stores) -> ScoreOutput:
    """Score the rows of one range with the version that the plan pins. The same range again has the same bytes.

    Raises PlanLost, BundleInvalid, ScoringFailed, StorageUnavailable.
    """
    if message.plan is None or message.output is None or message.range is None:
        raise ValueError("rows are of a plan's range")
    one = range_of(message.range)
    done = ScoreOutput(status="scored", batch=message.batch, rows=one.rows)
    try:
        planned = stores.data.get_json(message.plan)
        base = planned["staged"]
        if stores.data.find_json(f"{base}parts/{one.name}.json") is not None:
            return done
        body = stores.data.get(f"{base}rows/{one.name}.parquet")
    except ObjectMissing as error:
        if stores.data.find_json(message.output + SUCCESS) is not None:
            # another execution committed the batch meanwhile, and cleaned up
            return done
        raise PlanLost(f"batch {message.batch}, {one.name}: {error}") from error
    rows = read_rows(body)
    if rows.num_rows != one.rows:
        raise PlanLost(f"batch {message.batch}, {one.name}: {rows.num_rows} rows are staged, {one.rows} were planned")
    predictor = open_predictor(stores.data, stores.items, planned["model"], planned["version"], planned["sha256"])
    told = Told(planned["model"], planned["version"], f"{planned['at'][:10]}-{planned['batch']}", planned["carried"])
    try:
        part = to_parquet(answers(predictor, rows, told))
    except ScoringFailed as error:
        raise ScoringFailed(f"{planned['key']}, rows {one.first} to {one.last}: {error}") from error
    _put(stores, f"{base}parts/{one.name}", one, part)
    return done


def _put(stores: Stores, where: str, one: Range, part: bytes) -> None:
    """The part, and then what is known of it: only who finds that counts on the part."""
    stores.data.put(f"{where}.parquet", part)
    facts = {"bytes": len(part), "sha256": hashlib.sha256(part).hexdigest()}
    stores.data.put_json(f"{where}.json", one.to_json() | facts)


@lru_cache(maxsize=1)
def open_predictor(data: Objects, items: Items, model: str, version: int, sha256: str) -> Predictor:
    """A registered version, verified and loaded; kept for the next range, since it cannot change. Raises BundleInvalid
    when it is not the one of this digest.
    """
    registered = Registry(items).get(model, version)
    if registered.sha256 != sha256:
        raise BundleInvalid(f"model {model} version {version} is not the one with digest {sha256}")
    with TemporaryDirectory(prefix="score-") as folder:
        return Predictor(fetch(registered, data, Path(folder)))
