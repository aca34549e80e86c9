from __future__ import annotations

import numpy as np
import pytest

from perennial.evaluation.scoring import Graph
from perennial.storage.objects import canonical_json
from perennial.training.export import export
from perennial.training.golden import golden
from tests.unit.training.made import COLUMNS, fitted


@pytest.mark.parametrize(("algorithm", "task"), [("random_forest", "multiclass"), ("ridge", "regression")])
def test_golden_rows_are_few_diverse_and_answered_exactly(algorithm: str, task: str) -> None:
    pipeline, features, frame, _ = fitted(algorithm, task)
    graph = Graph(export(pipeline, features, task))
    found = golden(graph, features, frame)
    rows = found["rows"]
    assert 10 <= len(rows) == len(found["outputs"]) <= 20
    assert all(set(row) == set(COLUMNS) for row in rows)
    assert any(all(value is None for value in row.values()) for row in rows)
    assert any(None in row.values() and any(value is not None for value in row.values()) for row in rows)
    assert any("never seen" in str(row["city"]) for row in rows)
    kinds = {name: {type(row[name]) for row in rows} - {type(None)} for name in COLUMNS}
    assert kinds == {"amount": {float}, "year": {int}, "näme with space": {float}, "sunny": {bool},
                     "city": {str}, "probabilities": {str}}  # fmt: skip
    columns = {
        feature.tensor: np.array([row[feature.name] or "" for row in rows], dtype=object)
        if feature.kind == "category"
        else np.array([np.nan if row[feature.name] is None else row[feature.name] for row in rows], np.float32)
        for feature in features
    }
    assert graph.score(columns).tolist() == found["outputs"]
    canonical_json(found)


def test_without_categories_only_missing_values_are_made() -> None:
    pipeline, features, frame, _ = fitted("hist_gradient_boosting", "binary", features=["amount"])
    found = golden(Graph(export(pipeline, features, "binary")), features, frame.iloc[:2])
    assert len(found["rows"]) == 3
    assert found["rows"][-1] == {"amount": None}
