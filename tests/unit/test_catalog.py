"""What a model spec may say about the columns of its dataset, judged when the catalog is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from perennial.catalog.load import Catalog, read_catalog
from perennial.errors import CatalogInvalid

TYPES = ("string", "integer", "number", "boolean", "date", "timestamp")


def read(directory: Path, **changes: Any) -> Catalog:
    """The catalog of one dataset, with a column of each type named after it, and of one model."""
    columns: list[dict[str, Any]] = [{"name": name, "logicalType": name} for name in TYPES]
    later = {"property": "availableAtPrediction", "value": False}
    columns.append({"name": "later", "logicalType": "number", "customProperties": [later]})
    contract = {
        "apiVersion": "v3.0.2",
        "kind": "DataContract",
        "id": "visits",
        "version": "1.0.0",
        "status": "active",
        "schema": [{"name": "visits", "properties": columns}],
    }
    model: dict[str, Any] = {
        "name": "returns",
        "dataset": "visits",
        "task": "binary",
        "label": {"column": "boolean"},
        "features": ["string", "integer", "number"],
    }
    for name, value in (("contracts/visits", contract), ("models/returns", model | changes)):
        path = directory / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump(value))
    return read_catalog(directory)


def test_text_numbers_and_booleans_are_features(tmp_path: Path) -> None:
    found = read(tmp_path, label={"column": "later", "above": 1}, features=["string", "integer", "number", "boolean"])
    assert found.model("returns").features == ["string", "integer", "number", "boolean"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"features": ["number", "date"]}, "feature 'date' is a date in contract visits"),
        ({"features": ["timestamp"]}, "feature 'timestamp' is a timestamp in contract visits"),
        ({"features": ["later"]}, "feature 'later' is not availableAtPrediction in contract visits"),
        ({"features": ["nothing"]}, "dataset visits has no column 'nothing'"),
        ({"label": {"column": "nothing"}}, "dataset visits has no column 'nothing'"),
        ({"label": {"column": "date"}}, "label 'date' is a date in contract visits, so no class"),
        ({"label": {"column": "timestamp"}, "task": "multiclass"}, "label 'timestamp' is a timestamp"),
        (
            {"label": {"column": "date"}, "task": "regression"},
            "label 'date' is a date .* a regression predicts numbers",
        ),
        ({"label": {"column": "boolean", "above": 1}}, "label 'boolean' is a boolean .* label.above compares numbers"),
        ({"dataset": "orders"}, "no contract for dataset 'orders'"),
    ],
)
def test_a_column_that_does_not_fit_is_refused_by_file_model_and_name(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(CatalogInvalid, match=f"^models/returns.yaml: model returns: {message}"):
        read(tmp_path, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"entity": ["integer"]}, "entity column 'integer' is not among the features"),
        ({"entity": ["string", "string"]}, "an entity column is listed twice"),
        ({"features": ["amount"], "entity": ["amount"]}, "entity column 'amount': files of outcomes have a column"),
        ({"amount_unit": ""}, "amount_unit"),
    ],
)
def test_an_entity_is_named_by_features_of_its_own(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CatalogInvalid, match=f"(?s)^models/returns.yaml: .*{message}"):
        read(tmp_path, **({"features": ["string"]} | changes))


def test_whom_a_prediction_is_about_and_what_amounts_are(tmp_path: Path) -> None:
    spec = read(tmp_path, features=["string", "integer"], entity=["string"], amount_unit="EUR").models["returns"]
    assert (spec.entity, spec.amount_unit) == (["string"], "EUR")
