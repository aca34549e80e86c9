"""One function, two versions: each row is answered by its entity's arm, whatever it comes together with."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perennial.serving.assignment import CHALLENGER as CHALLENGER_ARM
from perennial.serving.bundle import verify
from perennial.serving.service import Service, Unavailable, open_service
from tests.unit.serving.bundles import INPUTS, MODEL, VERSION, bundle_files, graph, signature, write_bundle
from tests.unit.serving.experiments import CHALLENGER, SALT, Experimenter, other_files, write_experiment
from tests.unit.serving.requests import RELAXED, REQUEST_ID, ROW, infer_event, outputs, request

CARRIERS = [f"C{number}" for number in range(40)]
ROWS = [{**ROW, "carrier": carrier, "distance": float(place)} for place, carrier in enumerate(CARRIERS)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Experimenter:
    return Experimenter(tmp_path_factory.mktemp("split"))


@pytest.fixture
def split(running: Experimenter) -> Experimenter:
    running.records.clear()
    return running


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Service]:
    """Each version by itself."""
    found = {}
    for version, files in ((VERSION, bundle_files()), (CHALLENGER, other_files())):
        folder = write_bundle(tmp_path_factory.mktemp("alone"), files, version)
        found[version] = Service(verify(folder), "9", lambda _: None)
    return found


def probabilities(reply: Mapping[str, Any]) -> list[list[float]]:
    flat = outputs(reply)["probability"]
    return [flat[start : start + 2] for start in range(0, len(flat), 2)]


def by_itself(alone: dict[int, Service], version: int, row: Mapping[str, Any]) -> list[float]:
    return probabilities(json.loads(alone[version].handle(infer_event(request(row)), REQUEST_ID)["body"]))[0]


def test_each_row_is_answered_by_the_version_of_its_arm(split: Experimenter, alone: dict[int, Service]) -> None:
    status, reply = split.infer(request(*ROWS))
    assert status == 200
    versions = reply["parameters"]["versions"]
    assert set(versions) == {VERSION, CHALLENGER}
    assert reply["model_version"] == str(VERSION)
    for row, version, found in zip(ROWS, versions, probabilities(reply), strict=True):
        assert found == pytest.approx(by_itself(alone, version, row), abs=1e-6)


@RELAXED
@given(st.permutations(range(len(ROWS))), st.integers(1, len(ROWS)))
def test_an_entity_gets_the_same_answer_in_any_order_and_any_batch(
    running: Experimenter, order: list[int], size: int
) -> None:
    _, whole = running.infer(request(*ROWS))
    answers, versions = probabilities(whole), whole["parameters"]["versions"]
    for start in range(0, len(order), size):
        piece = order[start : start + size]
        _, reply = running.infer(request(*[ROWS[place] for place in piece]))
        assert reply["parameters"]["versions"] == [versions[place] for place in piece]
        for found, place in zip(probabilities(reply), piece, strict=True):
            assert found == pytest.approx(answers[place], abs=1e-6)


def test_records_are_of_one_version_each_and_hold_every_row_once(split: Experimenter) -> None:
    _, reply = split.infer(request(*ROWS, {**ROW, "carrier": None}))
    ids, predictions = outputs(reply)["prediction_id"], outputs(reply)["prediction"]
    assert len(set(ids)) == len(ROWS) + 1
    assert all(one.startswith("2013-04-01-") for one in ids)
    assert [(r.get("arm"), r["version"], r.get("propensity"), r.get("salt")) for r in split.records] == [
        ("champion", VERSION, 0.5, SALT), ("challenger", CHALLENGER, 0.5, SALT), (None, VERSION, None, None),
    ]  # fmt: skip
    recorded = {}
    for record in split.records:
        assert record["lambda_version"] == "9"
        for place in range(record["rows"]):
            inputs = {name: column[place] for name, column in record["inputs"].items()}
            identity = f"{record['ids']}-{record['first'] + place}"
            recorded[identity] = (inputs, record["outputs"]["prediction"][place], record["version"])
    versions = reply["parameters"]["versions"]
    wanted = zip([*ROWS, {**ROW, "carrier": None}], predictions, versions, strict=True)
    assert [recorded[identity] for identity in ids] == list(wanted)


def test_the_arm_is_recomputable_from_the_record_alone(split: Experimenter) -> None:
    split.infer(request(*ROWS))
    for record in split.records:
        assert split.design.arms(record["inputs"], record["rows"]) == [record["arm"]] * record["rows"]


def test_a_single_row_is_recorded_the_same_however_it_was_read(split: Experimenter) -> None:
    for _ in range(3):  # the second is read by its template
        split.infer(request())
    kept = [{k: v for k, v in r.items() if k not in ("score_us", "cold")} for r in split.records]
    assert kept[0] == kept[1] == kept[2]
    assert kept[0]["arm"] in ("champion", "challenger")


@pytest.mark.parametrize("version", [VERSION, CHALLENGER])
def test_either_version_can_be_asked_by_its_number(
    split: Experimenter, alone: dict[int, Service], version: int
) -> None:
    status, reply = split.infer(request(*ROWS), path=f"/v2/models/{MODEL}/versions/{version}/infer")
    assert (status, reply["model_version"]) == (200, str(version))
    assert probabilities(reply)[0] == pytest.approx(by_itself(alone, version, ROWS[0]), abs=1e-6)
    assert [record["version"] for record in split.records] == [version]
    assert "arm" not in split.records[0]


def test_another_version_is_not_here(split: Experimenter) -> None:
    assert split.infer(request(), path=f"/v2/models/{MODEL}/versions/9/infer")[0] == 404
    assert split.infer({}, path=f"/v2/models/{MODEL}/versions/{CHALLENGER}/infer")[0] == 400


def test_binary_replies_keep_order_and_ids(split: Experimenter) -> None:
    wanted = [{"name": "prediction_id"}, {"name": "prediction", "parameters": {"binary_data": True}}]
    body = request(*ROWS, outputs=wanted)
    reply = split.service.handle(infer_event(body), REQUEST_ID)
    assert reply["isBase64Encoded"]
    plain = split.infer(request(*ROWS))[1]
    content = base64.b64decode(reply["body"])
    head = json.loads(content[: int(reply["headers"]["inference-header-content-length"])])
    assert head["outputs"][0]["data"] == outputs(plain)["prediction_id"]
    assert head["parameters"] == plain["parameters"]


def test_golden_rows_are_no_predictions(split: Experimenter) -> None:
    split.service.handle({**infer_event(request(*ROWS)), "smoke": True}, REQUEST_ID)
    assert {record["record"] for record in split.records} == {"smoke"}


def test_a_fault_of_one_arm_is_told_as_that_version_s(tmp_path: Path) -> None:
    fine, fault = (bundle_files("regression", None, fault=broken) for broken in (False, True))
    split = Experimenter(tmp_path, champion=fine, challenger=fault)
    rows = [{**row, "distance": 0.0} for row in ROWS]
    status, reply = split.infer(request(*rows))
    assert status == 500
    assert f"version {CHALLENGER}" in reply["error"]
    (note,) = split.records
    assert (note["record"], note["version"]) == ("fault", CHALLENGER)
    arms = split.design.arms({"carrier": CARRIERS}, len(CARRIERS))
    healthy = [row for row, arm in zip(rows, arms, strict=True) if arm != CHALLENGER_ARM]
    assert split.infer(request(*healthy))[0] == 200


def damage(folder: Path, what: str) -> None:
    """Tamper with a folder of two bundles."""
    files = {"graph": "challenger/model.onnx", "champion": "champion/signature.json"}
    if what in files:
        with (folder / files[what]).open("r+b") as file:
            file.write(b"\x00")
    elif what == "extra":
        (folder / "run.py").write_text("")
    elif what == "extra in a bundle":
        (folder / "challenger" / "run.py").write_text("")
    elif what == "missing":
        (folder / "challenger" / "manifest.json").unlink()
    elif what == "link":
        (folder / "elsewhere").symlink_to(folder / "challenger")
    elif what == "linked design":
        (folder / "experiment.json").rename(folder.parent / "design.json")
        (folder / "experiment.json").symlink_to(folder.parent / "design.json")
    elif what == "another version":
        for path in (folder / "challenger").iterdir():
            path.unlink()
        write_bundle(folder / "challenger", other_files(), CHALLENGER + 1)
    elif what == "other files":
        write_bundle(folder / "challenger", other_files() | {"MLmodel": b"changed"}, CHALLENGER)
    elif what == "large design":
        (folder / "experiment.json").write_bytes(b" " * 100_000)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("graph", "challenger: model.onnx: its SHA-256 is not the one in the manifest"),
        ("champion", "champion: signature.json: its SHA-256"),
        ("extra", "run.py: is beside experiment.json"),
        ("extra in a bundle", "challenger: run.py: is in the bundle but not in the manifest"),
        ("missing", "challenger: manifest.json: cannot be read"),
        ("link", "elsewhere: is beside experiment.json"),
        ("linked design", "experiment.json: is no regular file"),
        ("another version", "challenger: is version 5, or other files"),
        ("other files", "challenger: is version 4, or other files"),
        ("large design", "experiment.json: is larger than"),
    ],
)
def test_a_tampered_experiment_is_not_served(tmp_path: Path, what: str, said: str) -> None:
    folder = tmp_path / "code"
    write_experiment(folder)
    damage(folder, what)
    service = open_service(str(folder), "9", lambda _: None)
    assert isinstance(service, Unavailable)
    assert service.status == 503
    assert said in service.message


@pytest.mark.parametrize("what", ["inputs", "classes", "entity"])
def test_versions_that_cannot_stand_for_each_other_are_not_served(tmp_path: Path, what: str) -> None:
    inputs = INPUTS[1:] if what == "inputs" else INPUTS
    classes = (False, True) if what == "classes" else (0, 1)
    model = graph(inputs=inputs, weights=np.ones((len(inputs), 1), np.float32))
    listed = {**signature("binary", classes), "inputs": inputs}
    other = {"model.onnx": model.SerializeToString(), "signature.json": json.dumps(listed).encode()}
    entity = ("tail number",) if what == "entity" else ("carrier",)
    write_experiment(tmp_path, challenger=other, entity=entity)
    service = open_service(str(tmp_path), "9", lambda _: None)
    assert isinstance(service, Unavailable)
    said = "entity 'tail number' is no input" if what == "entity" else f"differ in their {what}"
    assert said in service.message
