"""Bring your own: `init` on two awkward files, one catalog, one cloud; both models trained, served, asked over HTTP."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.cli.local import free_port
from tests.local.shop import Shop, eventually, new_shop
from tests.unit.proposal.support import sales, write
from tests.unit.training.own import CLASSIFIER

pytestmark = [pytest.mark.xdist_group("init"), pytest.mark.timeout(600)]

FILES = {"Möbel Status 2024-03.csv": "Lieferstatus", "Möbel Preise 2024-03.csv": "Preis €"}
NAMES = {"Lieferstatus": "mobel-status", "Preis €": "mobel-preise"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Both files proposed from, deployed and dropped with the commands that `init` printed; both models serve."""
    shop = new_shop(tmp_path_factory.mktemp("own"))
    steps: dict[str, list[str]] = {}
    for name, label in FILES.items():
        write(shop.workdir / name, *sales(600))
        proposal = shop.json("init", name, "--label", label, "--catalog", "my")
        assert proposal["name"] == NAMES[label]
        steps[NAMES[label]] = proposal["next"]
    add_own_estimator(shop.workdir / "my")
    up = steps["mobel-status"][0]
    assert {one[0] for one in steps.values()} == {up}
    try:
        shop.shell(f"{up} --port {free_port()}")
        shop.environment.update(shop.json("env"))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in shop.environment.items():
                if name.startswith(("AWS_", "PERENNIAL_")):
                    patch.setenv(name, value)
            for commands in steps.values():
                assert "600 rows, 0 in quarantine" in shop.shell(f"{commands[1]}; {commands[2]}")
            models = [*steps, "nearest"]
            eventually(lambda: all(shop.api.request("GET", f"/v2/models/{name}/ready")[0] == 200 for name in models))
            yield shop
    finally:
        shop.run("down")


def add_own_estimator(catalog: Path) -> None:
    """A third model, of the same dataset: the estimator of docs/own-model.md in the proposed spec."""
    spec = (catalog / "models" / "mobel-status.yaml").read_text("utf-8")
    own = re.sub("algorithm: .*", "algorithm: nearest:NearestMean", spec.replace("mobel-status", "nearest", 1))
    (catalog / "models" / "nearest.yaml").write_text(own, "utf-8")
    (catalog / "estimators").mkdir()
    (catalog / "estimators" / "nearest.py").write_text(CLASSIFIER, "utf-8")


def asked(shop: Shop, model: str, row: dict[str, Any]) -> dict[str, Any]:
    """The outputs for one row, over signed HTTP; the inputs are those that the model says it takes."""
    inputs = shop.api.json("GET", f"/v2/models/{model}")["inputs"]
    tensors = [
        {"name": one["name"], "datatype": one["datatype"], "shape": [1, 1], "data": [row[one["name"]]]}
        for one in inputs
    ]
    reply = shop.api.json("POST", f"/v2/models/{model}/infer", {"inputs": tensors})
    return {output["name"]: output for output in reply["outputs"]}


LARGE = {"größe (cm)": 150.0, "Farbe des Möbels": "rot", "premium?": True, "plz": "01003", "Preis €": 90.0}
SMALL = {"größe (cm)": 60.0, "Farbe des Möbels": "grün", "premium?": False, "plz": "01003", "Preis €": 10.0}
STRANGE = {"größe (cm)": None, "Farbe des Möbels": "violett", "premium?": None, "plz": "∅", "Preis €": None}


def test_a_multiclass_model_serves(shop: Shop) -> None:
    for row, likeliest in ((LARGE, "spät"), (SMALL, "früh")):
        outputs = asked(shop, "mobel-status", row)
        assert outputs["prediction"]["data"] == [likeliest]
        assert outputs["probability"]["parameters"]["classes"] == ["früh", "pünktlich", "spät"]
    assert sum(asked(shop, "mobel-status", STRANGE)["probability"]["data"]) == pytest.approx(1, abs=1e-5)


def test_an_estimator_of_our_own_serves(shop: Shop) -> None:
    assert [asked(shop, "nearest", row)["prediction"]["data"] for row in (LARGE, SMALL)] == [["spät"], ["früh"]]


def test_a_regression_serves(shop: Shop) -> None:
    extra = {"Lieferstatus": None, "status_code": None}
    large, small, strange = (
        asked(shop, "mobel-preise", row | extra)["prediction"]["data"][0] for row in (LARGE, SMALL, STRANGE)
    )
    assert large > small + 20
    assert -200 < strange < 400


def test_the_file_itself_can_be_scored_with_the_printed_command(shop: Shop) -> None:
    found = shop.json("predict", "mobel-status", "Möbel Status 2024-03.csv")
    assert len(found) == 600


def test_init_does_not_overwrite(shop: Shop) -> None:
    name = "Möbel Status 2024-03.csv"
    before = (shop.workdir / "my" / "models" / "mobel-status.yaml").read_bytes()
    told = shop.run("init", name, "--label", "Lieferstatus", "--catalog", "my", expect=1)
    assert "there already" in told
    assert (shop.workdir / "my" / "models" / "mobel-status.yaml").read_bytes() == before


def test_init_tells_what_is_wrong_in_a_line(shop: Shop) -> None:
    (shop.workdir / "empty.csv").write_bytes(b"")
    told = shop.run("init", "empty.csv", "--label", "y", "--catalog", "my", expect=1)
    assert "empty.csv: empty: the file is empty" in told
    assert not (shop.workdir / "my" / "models" / "empty.yaml").exists()
