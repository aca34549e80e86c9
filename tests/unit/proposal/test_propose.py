"""A file becomes a contract and a spec that take the very file, train on it and pass their own gates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from perennial.datasets.sift import sift
from perennial.proposal.propose import Proposal
from tests.unit.proposal.support import catalog_of, proposed, sales, served, write


def roles(proposal: Proposal) -> dict[str, str]:
    return {plan.name: plan.role for plan in proposal.plans.values()}


@pytest.fixture(scope="module")
def multiclass(tmp_path_factory: pytest.TempPathFactory) -> Proposal:
    return served(write(tmp_path_factory.mktemp("sales") / "Möbel.csv", *sales(900)), "Lieferstatus")


def test_every_column_has_its_role(multiclass: Proposal) -> None:
    assert multiclass.label.task == "multiclass"
    assert roles(multiclass) == {
        "Auftrag Nr": "left out", "Datum": "event time", "größe (cm)": "feature", "Farbe des Möbels": "feature",
        "premium?": "feature", "plz": "feature", "leer": "left out", "konst": "left out", "Lieferstatus": "label",
        "Preis €": "feature", "status_code": "left out",
    }  # fmt: skip
    assert multiclass.survey.ignored == {"(column 1)": "it has no name"}


def test_types_are_those_that_keep_the_values(multiclass: Proposal) -> None:
    contract, _ = catalog_of(multiclass)
    types = {column.name: column.type for column in contract.columns}
    assert types["größe (cm)"] == "number"
    assert types["premium?"] == "boolean"
    assert types["Auftrag Nr"] == "integer"
    assert types["plz"] == "string", "as a number, a code would lose its leading zero"
    assert (contract.column("Datum").type, contract.column("Datum").format) == ("date", "%d.%m.%Y")
    assert contract.event_time == "Datum"
    assert contract.missing == ("", "NA")
    assert contract.ignore_extra


def test_the_leak_is_named_in_the_file_and_may_not_be_used(multiclass: Proposal) -> None:
    contract, spec = catalog_of(multiclass)
    assert "status_code" not in spec.features
    assert not contract.column("status_code").available_at_prediction
    assert "# - status_code: A LEAK? alone it predicts the label with auc 1.000" in multiclass.model
    assert not contract.column("Lieferstatus").available_at_prediction
    assert "Lieferstatus" not in spec.features


def test_a_floor_is_between_guessing_and_the_simple_model(multiclass: Proposal) -> None:
    trial = multiclass.trial
    assert trial.simple is not None
    assert trial.floor is not None
    assert 0.5 < trial.floor < trial.simple.value
    assert yaml.safe_load(multiclass.model)["gates"] == {"auc": {"min": trial.floor}}


def test_a_regression_is_told_by_its_fractions(tmp_path: Path) -> None:
    proposal = served(write(tmp_path / "sales.csv", *sales(900)), "Preis €")
    assert proposal.label.task == "regression"
    assert proposal.trial.metric == "r2"
    assert proposal.trial.floor is not None


@pytest.mark.parametrize("label", ["premium?", "Lieferstatus", "Preis €"])
def test_forty_rows_are_enough(tmp_path: Path, label: str) -> None:
    proposal = served(write(tmp_path / "few.csv", *sales(40)), label)
    _, spec = catalog_of(proposal)
    assert spec.train.min_rows <= 40
    assert spec.train.algorithm in {"logistic_regression", "ridge"}


def test_noise_gets_no_gate_but_is_served(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    rows: list[list[Any]] = [[round(float(rng.normal()), 3), int(rng.random() < 0.5)] for _ in range(200)]
    proposal = served(write(tmp_path / "noise.csv", ["x", "y"], rows), "y")
    assert proposal.trial.floor is None
    assert "No gate" in proposal.model


def test_one_column_beside_the_label_is_enough_and_five_hundred_are_not_too_many(tmp_path: Path) -> None:
    rng = np.random.default_rng(6)
    values = rng.normal(size=(300, 500))
    y = values[:, 0] + rng.normal(size=300) > 0
    rows = [[*map("{:.3f}".format, row), str(bool(flag)).lower()] for row, flag in zip(values, y, strict=True)]
    header = [f"column {place}" for place in range(500)]
    assert len(catalog_of(served(write(tmp_path / "wide.csv", [*header, "y"], rows), "y"))[1].features) == 500
    narrow = [[row[0], row[-1]] for row in rows]
    assert catalog_of(served(write(tmp_path / "narrow.csv", ["x", "y"], narrow), "y"))[1].features == ["x"]


def test_a_month_that_differs_is_not_refused_for_nothing(multiclass: Proposal, tmp_path: Path) -> None:
    from tests.unit.proposal.support import accepted

    header, rows = sales(100, seed=2)
    rows[0][header.index("Farbe des Möbels")] = "violett"
    rows[1][header.index("größe (cm)")] = 311.5
    rows[2][header.index("Preis €")] = ""
    rows[3][header.index("Auftrag Nr")] = 99_999
    rows[4][header.index("Lieferstatus")] = ""
    accepted(write(tmp_path / "april.csv", header, rows), catalog_of(multiclass)[0])


def test_the_same_file_gives_the_same_proposal(multiclass: Proposal, tmp_path: Path) -> None:
    again = proposed(write(tmp_path / "Möbel.csv", *sales(900)), "Lieferstatus")
    assert (again.contract, again.model) == (multiclass.contract, multiclass.model)


def test_a_column_that_is_written_together_with_the_label_is_named(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    rows: list[list[Any]] = []
    for _ in range(400):
        done, x = rng.random() < 0.8, float(rng.normal())
        kept = rng.random() < 0.9
        other = round(float(rng.normal()), 3) if kept else ""
        likes = bool(x + rng.normal() > 0)
        rows.append([round(x, 3), other, int(rng.integers(1, 9)) if done else "", likes if done else ""])
    proposal = served(write(tmp_path / "calls.csv", ["x", "y", "minutes", "bought"], rows), "bought")
    assert {finding.column for finding in proposal.findings if finding.metric == "gaps"} == {"minutes"}
    assert "# CHECK: where the label is missing it is missing too (100%)" in proposal.model
    assert "minutes" in catalog_of(proposal)[1].features


def test_values_that_no_contract_holds_are_counted_and_cost_their_rows_only(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    x = rng.normal(size=300)
    y = x + rng.normal(size=300) > 0
    x[[3, 5]] = np.inf
    pq.write_table(
        pa.table({"x": x, "missing": np.where(rng.random(300) < 0.1, np.nan, 1.0) * rng.normal(size=300), "y": y}),
        tmp_path / "made.parquet",
    )
    proposal = proposed(tmp_path / "made.parquet", "y")
    assert "2 values are infinite or out of range: their rows will go to quarantine" in proposal.contract
    contract, _ = catalog_of(proposal)
    assert contract.missing == ("", "NaN")
    found = sift(tmp_path / "made.parquet", "made.parquet", contract, tmp_path)
    assert (found.refusal, found.accepted, found.quarantined) == (None, 298, 2)
