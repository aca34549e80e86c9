"""Searches by several tasks in the templates: only where a model asks for them, and with no right more."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from infra.synth import synthesize
from tests.infra.conftest import CATALOG, App
from tests.infra.test_cost import idle_prices
from tests.infra.test_workflows import SNAPSHOTS, definition, events

TUNED = "train: {tune: {space: {max_iter: [50, 100, 200], learning_rate: [0.05, 0.1, 0.2]}, tasks: 3}, "


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> App:
    """Environment dev, where three tasks search parameters of late-parcels."""
    catalog = tmp_path_factory.mktemp("tuned") / "catalog"
    shutil.copytree(CATALOG, catalog)
    model = catalog / "models" / "late-parcels.yaml"
    text = model.read_text("utf-8")
    assert "train: {" in text
    model.write_text(text.replace("train: {", TUNED), encoding="utf-8")
    return App.read(synthesize(env="dev", catalog=catalog, nag=True))


def test_where_no_model_asks_there_are_no_such_states(app: App) -> None:
    assert not {"Tuned", "Tune"} & definition(app, "lifecycle")["States"].keys()


def test_the_workflow_is_what_was_reviewed(tuned: App, request: pytest.FixtureRequest) -> None:
    rendered = json.dumps(definition(tuned, "lifecycle"), indent=2, ensure_ascii=False) + "\n"
    snapshot = SNAPSHOTS / "lifecycle-with-tuning.asl.json"
    if request.config.getoption("--update-snapshots"):
        snapshot.write_text(rendered, encoding="utf-8")
    assert rendered == snapshot.read_text(encoding="utf-8")


def test_the_model_that_asks_is_searched_for_and_the_others_are_trained_at_once(tuned: App) -> None:
    states = definition(tuned, "lifecycle")["States"]
    assert states["Tuned"] == {
        "Type": "Choice",
        "Choices": [{"Variable": "$.model", "StringEquals": "late-parcels", "Next": "Chunks3"}],
        "Default": "Train",
    }
    assert (states["Chunks3"]["Result"], states["Chunks3"]["Next"]) == (["0", "1", "2"], "Tune")
    assert (states["Tune"]["Next"], states["Tune"]["MaxConcurrency"]) == ("Train", 3)


def test_a_search_is_the_training_task_with_one_variable_more(tuned: App) -> None:
    states = definition(tuned, "lifecycle")["States"]
    search, train = states["Tune"]["ItemProcessor"]["States"]["Search"], states["Train"]
    (override,) = search["Parameters"]["Overrides"].pop("ContainerOverrides")
    assert override["Environment"] == [
        {"Name": "RUN_REQUEST", "Value.$": "$.request_key"},
        {"Name": "TUNE_CHUNK", "Value.$": "$.chunk"},
    ]
    train["Parameters"]["Overrides"].pop("ContainerOverrides")
    for name in ("Resource", "Parameters", "TimeoutSeconds", "Retry"):
        assert search[name] == train[name], name


def test_a_failing_search_is_explained(tuned: App) -> None:
    caught = definition(tuned, "lifecycle")["States"]["Tune"]["Catch"]
    assert [(one["ErrorEquals"], one["Next"]) for one in caught] == [
        (["States.DataLimitExceeded"], "Explain"), (["States.ALL"], "Explain"),
    ]  # fmt: skip


def test_searching_takes_no_right_and_no_resource_more(app: App, tuned: App) -> None:
    def policies(one: App) -> list[Any]:
        return [found.props["PolicyDocument"] for found in one.of("AWS::IAM::Policy") if "Lifecycle" in found.id]

    assert policies(tuned) == policies(app)
    assert {one.type for one in tuned.all()} == {one.type for one in app.all()} == set(idle_prices())


def test_an_execution_with_the_most_searches_ends_before_a_quarter_of_the_limit(tuned: App) -> None:
    states = definition(tuned, "lifecycle")["States"]
    looks = states["Settled"]["Choices"][1]["NumericGreaterThan"]
    loop = {"Settle", "Retrain", "Settled"}
    # an iteration starts and ends besides
    search = 2 + events(states["Tune"]["ItemProcessor"]["States"]["Search"])
    worst = sum(events(state) * (looks if name in loop else 1) for name, state in states.items())
    assert worst + 40 * search < 25_000 / 4
