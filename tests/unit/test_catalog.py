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
        put(directory, f"{name}.yaml", yaml.safe_dump(value))
    return read_catalog(directory)


def put(directory: Path, name: str, text: str | bytes) -> Path:
    """A file of the catalog in that directory."""
    path = directory / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


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


@pytest.mark.parametrize("train", [{"window": "90d"}, {"maturity": "1d"}])
def test_what_goes_by_event_time_needs_one(tmp_path: Path, train: dict[str, Any]) -> None:
    (field,) = train
    with pytest.raises(
        CatalogInvalid,
        match=f"^models/returns.yaml: model returns: train.{field} goes by event time; no column of contract visits is",
    ):
        read(tmp_path, train=train)
    contract = tmp_path / "contracts" / "visits.yaml"
    timed = {"name": "timestamp", "logicalType": "timestamp", "required": True}
    timed["customProperties"] = [{"property": "eventTime", "value": True}]
    written = yaml.safe_load(contract.read_text("utf-8"))
    columns = written["schema"][0]["properties"]
    columns[[column["name"] for column in columns].index("timestamp")] = timed
    put(tmp_path, "contracts/visits.yaml", yaml.safe_dump(written))
    assert read_catalog(tmp_path).model("returns").train.model_dump(exclude_defaults=True)[field] > 0


@pytest.mark.parametrize(
    ("train", "message"),
    [
        ({"tune": {"space": {}}}, "at least 1 item"),
        ({"tune": {"space": {"C": []}}}, "at least 1 item"),
        ({"tune": {"space": {"C": [1]}, "candidates": 1}}, "greater than or equal to 2"),
        ({"tune": {"space": {"C": [1]}, "tasks": 41}}, "less than or equal to 40"),
        ({"tune": {"space": {"C": [1]}}, "params": {"C": 2}}, "train.tune.space and train.params both have 'C'"),
        ({"window": "36h"}, "windows and horizons are whole days"),
    ],
)
def test_a_training_that_cannot_be_meant_is_refused(tmp_path: Path, train: dict[str, Any], message: str) -> None:
    with pytest.raises(CatalogInvalid, match=f"^models/returns.yaml: (.|\n)*{message}"):
        read(tmp_path, train=train)


def test_whom_a_prediction_is_about_and_what_amounts_are(tmp_path: Path) -> None:
    spec = read(tmp_path, features=["string", "integer"], entity=["string"], amount_unit="EUR").models["returns"]
    assert (spec.entity, spec.amount_unit) == (["string"], "EUR")


@pytest.mark.parametrize("name", ["contracts/orders.yaml", "models/orders.yaml", "estimators/orders.py"])
def test_a_file_that_is_no_utf8_is_refused_by_name(tmp_path: Path, name: str) -> None:
    read(tmp_path)
    put(tmp_path, name, "name: größe".encode("latin-1"))
    with pytest.raises(CatalogInvalid, match=rf"^{name}: the file is not UTF-8"):
        read_catalog(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: returns\ntask: binary\ntask: regression\n", "line 3: 'task' is written twice"),
        ("train: {seed: 1, seed: 2}\n", "'seed' is written twice"),
        ("features: &all [integer]\nentity: *all\n", "aliases are not allowed"),
        ("gates: " + "[" * 30 + "]" * 30, "nested deeper than"),
        ("- name", "a mapping is expected at the top"),
    ],
)
def test_a_model_spec_is_read_as_strictly_as_a_contract(tmp_path: Path, text: str, message: str) -> None:
    read(tmp_path)
    put(tmp_path, "models/returns.yaml", text)
    with pytest.raises(CatalogInvalid, match=f"^models/returns.yaml: .*{message}"):
        read_catalog(tmp_path)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("contracts/orders.yml", "contracts/orders.yml: would not be read"),
        ("models/orders.YAML", "models/orders.YAML: would not be read"),
        ("models/shop/orders.yaml", "models/shop/orders.yaml: would not be read"),
        ("orders.yaml", "orders.yaml: would not be read"),
        ("contract/orders.yaml", "contract/: no folder of a catalog; it has contracts, estimators, models"),
        ("views/notes.txt", "views/: no folder of a catalog"),
    ],
)
def test_what_would_be_passed_over_is_refused_by_name(tmp_path: Path, name: str, message: str) -> None:
    read(tmp_path)
    put(tmp_path, name, "name: orders")
    with pytest.raises(CatalogInvalid, match=f"^{message}"):
        read_catalog(tmp_path)


@pytest.mark.parametrize(
    "name",
    ["README.md", "contracts/README.md", "estimators/near/params.yml", ".git/a.yml", "contracts/.orders.yaml.swp",
     "models/.orders.yml", "__pycache__/a.pyc"],
)  # fmt: skip
def test_what_nobody_meant_as_a_catalog_stands_beside_it(tmp_path: Path, name: str) -> None:
    found = read(tmp_path)
    put(tmp_path, name, "no: catalog")
    assert read_catalog(tmp_path) == found


def test_a_catalog_without_contracts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "contracts").mkdir()
    for directory in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CatalogInvalid, match=f"^no contracts in {directory}: a catalog has contracts/"):
            read_catalog(directory)


@pytest.mark.parametrize(
    ("first", "second"), [("sales2b", "sales2-b"), ("a-b", "a--b"), ("sales2", "sales-2"), ("sales", "sales-")]
)
def test_names_that_would_name_one_resource_are_refused(tmp_path: Path, first: str, second: str) -> None:
    """Ids of constructs are made of the words: Sales2B is either's."""
    read(tmp_path)
    spec = (tmp_path / "models" / "returns.yaml").read_text()
    for name in (first, second):
        put(tmp_path, f"models/{name}.yaml", spec.replace("name: returns", f"name: {name}"))
    with pytest.raises(CatalogInvalid, match=f"^{min(first, second)} and {max(first, second)} differ by hyphens only"):
        read_catalog(tmp_path)
    (tmp_path / "models" / f"{second}.yaml").unlink()
    contract = (tmp_path / "contracts" / "visits.yaml").read_text()
    put(tmp_path, "contracts/v-isits.yaml", contract.replace("name: visits", "name: v-isits"))
    with pytest.raises(CatalogInvalid, match=r"^v-isits and visits differ by hyphens only"):
        read_catalog(tmp_path)


def test_a_catalog_is_read_with_what_is_proposed_for_it(tmp_path: Path) -> None:
    read(tmp_path)
    spec = (tmp_path / "models" / "returns.yaml").read_text()
    proposed = {"models/again.yaml": spec.replace("name: returns", "name: again"), "models/returns.yaml": spec}
    assert sorted(read_catalog(tmp_path, proposed).models) == ["again", "returns"]
    with pytest.raises(CatalogInvalid, match=r"^models/returns\.yaml: model 'returns' has two specs"):
        read_catalog(tmp_path, {"models/again.yaml": spec})
    assert not (tmp_path / "models" / "again.yaml").exists()
