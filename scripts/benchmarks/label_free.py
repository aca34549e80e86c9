"""Performance without labels beside NannyML's: a model of January and February's flights, the months after March."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder

from perennial.catalog.load import read_catalog
from perennial.monitoring.estimate import PastWindow, estimate
from scripts.benchmarks.interleave import Effort, contenders, interleaved, own, peer
from scripts.benchmarks.peers import python_of
from scripts.benchmarks.rows import Row, compare
from scripts.cli.local import ROOT, WORKDIR
from scripts.flights import months
from scripts.steps import Say

MODEL = "flight-delays"
# The CPU goal, and how far the two estimates may lie apart. Both are the project's.
GOAL, APART = 1 / 2.5, 0.002


@dataclass(frozen=True)
class Scored:
    """Flights with an outcome: `month` 1 … 12, `score` (probability of being late), `late` 0 or 1."""

    frame: pd.DataFrame

    def write(self, path: Path) -> None:
        """As the contenders read them."""
        self.frame.to_csv(path, index=False)

    def auc(self, month: int) -> float:
        """What the model was worth in a month."""
        chosen = self.frame[self.frame.month == month]
        return float(roc_auc_score(chosen.late, chosen.score))


def rows(say: Say, effort: Effort | None = None) -> Iterator[Row]:
    """All rows. Raises Failure when NannyML cannot be installed or a contender does not run."""
    nannyml = python_of("nannyml", say)
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        scores, ours, theirs = (Path(name, file) for file in ("scores.csv", "ours.csv", "theirs.csv"))
        say("scores of a model of January and February")
        scored = score_flights(months(WORKDIR / "flights"))
        scored.write(scores)
        commands = {
            "perennial": own(Path(sys.executable), "label_free", str(scores), str(ours)),
            "nannyml": peer(nannyml, "nannyml_cbpe", str(scores), str(theirs)),
        }
        say("AUC of nine months, estimated without their labels")
        with contenders(commands) as started:
            taken = interleaved(started, "months", effort or Effort(rounds=9, turn=0.3))
            versions = started["nannyml"].versions
        milli = {name: [seconds * 1e3 for seconds in each] for name, each in taken.items()}
        yield compare(
            "AUC of nine months without labels / NannyML's CBPE", milli["perennial"], milli["nannyml"],
            unit="CPU ms", versions=versions, goal=GOAL,
        )  # fmt: skip
        yield from _agreement(scored, estimates(ours), estimates(theirs), versions)


def _agreement(
    scored: Scored, ours: dict[int, float], theirs: dict[int, float], versions: dict[str, str]
) -> Iterator[Row]:
    """How far the two estimates lie apart, and how far either lies from the truth and from "nothing has changed"."""
    apart = max(abs(ours[month] - theirs[month]) for month in ours)
    yield Row(
        "AUC of nine months without labels: largest difference / NannyML's CBPE",
        apart, None, "AUC", None, APART, versions, "most",
    )  # fmt: skip
    unchanged = scored.auc(3)
    past = [
        PastWindow(f"2013-{month:02d}-01", f"2013-{month:02d}-28", 1, "auc", ours[month], unchanged, scored.auc(month))
        for month in ours
    ]
    found = estimate("auc", ours[12], unchanged, past)
    errors, verdict = found["past"], "shown" if found["shown"] else "withheld"
    yield Row(
        f"AUC of nine months without labels: mean error ({verdict}) / nothing has changed since March",
        errors["cbpe_error"], errors["unchanged_error"], "AUC", None, None, versions,
    )  # fmt: skip


def estimates(path: Path) -> dict[int, float]:
    """A contender's estimate of each month's AUC."""
    table = np.loadtxt(path, delimiter=",", ndmin=2)
    return {int(month): float(auc) for month, auc in table}


def score_flights(files: list[Path]) -> Scored:
    """Scores of March to December by a model of January and February with the shipped one's features and settings."""
    spec = read_catalog(ROOT / "infra" / "catalog").model(MODEL)
    columns = ["month", *spec.features, spec.label.column]
    flights = pd.concat([pd.read_csv(path, usecols=columns) for path in files], ignore_index=True)
    flights = flights.dropna(subset=[spec.label.column])
    late = (flights[spec.label.column] > spec.label.above).astype(int)
    texts = [name for name in spec.features if not pd.api.types.is_numeric_dtype(flights[name])]
    unknown = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    model = make_pipeline(
        make_column_transformer((unknown, texts), remainder="passthrough"),
        HistGradientBoostingClassifier(**spec.train.params, random_state=spec.train.seed),
    )
    trained = flights.month <= 2
    model.fit(flights.loc[trained, spec.features], late[trained])
    after = flights[~trained]
    score = model.predict_proba(after[spec.features])[:, 1]
    return Scored(pd.DataFrame({"month": after.month, "score": score, "late": late[~trained]}))
