"""A deployment of the template while a model serves: the champion is rolled out again, or goes on as it was."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.synth import synthesize
from perennial.storage import translate
from scripts.cli import local
from scripts.cli.deployment import Deployment
from scripts.cli.local import free_port
from tests.local.shop import GOOD, ROOT, Shop, eventually, orders, tensors, write_catalog

pytestmark = [pytest.mark.xdist_group("redeploy"), pytest.mark.timeout(600)]

FUNCTION = "perennial-dev-predict-returns"
KEPT = 3

Change = Callable[[dict[str, Any]], None]


class Account:
    """The shop's deployment, and the assembly that it was deployed from."""

    def __init__(self, shop: Shop, assembly: Path) -> None:
        self.shop = shop
        self.assembly = assembly
        self.deployment = Deployment("dev")
        self.lambda_ = self.deployment.client("lambda")
        self.states = self.deployment.client("stepfunctions")

    def deploy(self, change: Change, stack: str = "serving") -> dict[str, str]:
        """Deploy the template with the change; what was done to which resource of the stack."""
        path = self.assembly / f"perennial-dev-{stack}.template.json"
        template = json.loads(path.read_text())
        change(template)
        path.write_text(json.dumps(template))
        done = self._control("provision", {"assembly": str(self.assembly)})
        found: dict[str, str] = done["stacks"][f"perennial-dev-{stack}"]
        return found

    def deploy_and_wait(self, change: Change) -> dict[str, Any]:
        """Deploy, and wait for the end of the one rollout that this asks for; its execution."""
        known = {execution["executionArn"] for execution in self.rollouts()}
        assert self.deploy(change)
        [asked] = eventually(lambda: self._ended(known))
        assert json.loads(asked["input"]) == {"model": "returns", "version": "champion"}
        found: dict[str, Any] = asked
        return found

    def rollouts(self) -> list[dict[str, Any]]:
        arn = self.deployment.parameters["rollout-workflow"]
        found: list[dict[str, Any]] = self.states.list_executions(stateMachineArn=arn)["executions"]
        return found

    def _ended(self, known: set[str]) -> list[dict[str, Any]]:
        """The executions that are not known, once all of them have ended. Waits of theirs are shortened."""
        new = [one["executionArn"] for one in self.rollouts() if one["executionArn"] not in known]
        told = [self.states.describe_execution(executionArn=arn) for arn in new]
        for execution in told:
            arn = execution["executionArn"]
            last = self.states.get_execution_history(executionArn=arn, reverseOrder=True, maxResults=1)["events"]
            if [event["type"] for event in last] == ["WaitStateEntered"]:
                self._control("tick", {"seconds": 5})
        return [] if any(execution["status"] == "RUNNING" for execution in told) else told

    def _control(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        return local.control(self.shop.environment["AWS_ENDPOINT_URL"], verb, body)

    @property
    def alias(self) -> str:
        found: str = self.lambda_.get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"]
        return found

    def versions(self) -> list[int]:
        listed = self.lambda_.list_versions_by_function(FunctionName=FUNCTION)["Versions"]
        return sorted(int(one["Version"]) for one in listed if one["Version"] != "$LATEST")

    def configuration(self, version: str) -> dict[str, Any]:
        found: dict[str, Any] = self.lambda_.get_function_configuration(FunctionName=FUNCTION, Qualifier=version)
        return found

    def facts(self) -> list[tuple[str, dict[str, Any]]]:
        records = self.deployment.ledger.read("model/returns")
        return [(one.fact, one.evidence) for one in records if one.fact in ("deployed", "rolled back")]

    def answers(self) -> bool:
        """Whether callers are answered, by the first version of the model."""
        answer = self.shop.api.json("POST", "/v2/models/returns/infer", tensors(**GOOD))
        return bool(answer["model_version"] == "1")


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """The shop, its first model served; few Lambda versions are kept."""
    workdir = tmp_path_factory.mktemp("redeploy")
    assembly = workdir / "assembly"
    shutil.copytree(synthesize(env="dev", catalog=write_catalog(workdir / "catalog")), assembly)
    loop = assembly / "perennial-dev-loop.template.json"
    loop.write_text(loop.read_text().replace('"KEPT_VERSIONS": "10"', f'"KEPT_VERSIONS": "{KEPT}"'))
    state = local.start(assembly, port=free_port(), env="dev", workdir=workdir / "state", say=lambda where: None)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in local.exports(state).items():
                patch.setenv(name, value)
            translate.client.cache_clear()
            search = f"{ROOT}:{ROOT / 'layers/core/python'}"
            environment = {"PATH": os.environ["PATH"], "PYTHONPATH": search, **local.exports(state)}
            shop = Shop(workdir, environment | {"PERENNIAL_WORKDIR": str(workdir / "state")})
            shop.drop("january.csv", orders(1))
            account = Account(shop, assembly)
            eventually(lambda: any(fact == "deployed" for fact, _ in account.facts()))
            eventually(lambda: not [one for one in account.rollouts() if one["status"] == "RUNNING"])
            assert account.answers()
            yield account
    finally:
        translate.client.cache_clear()
        local.stop(workdir / "state")


def function(template: dict[str, Any], name: str = FUNCTION) -> dict[str, Any]:
    [found] = [
        one["Properties"]
        for one in template["Resources"].values()
        if one["Type"] == "AWS::Lambda::Function" and one["Properties"]["FunctionName"] == name
    ]
    properties: dict[str, Any] = found
    return properties


def more_memory(template: dict[str, Any]) -> None:
    function(template)["MemorySize"] += 64


def another_layer(template: dict[str, Any]) -> None:
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::LayerVersion":
            layer = resource["Properties"]
            layer["Description"] = layer.get("Description", "") + "another "


@pytest.mark.parametrize("change", [more_memory, another_layer])
def test_a_changed_function_gets_the_champion_again(account: Account, change: Change) -> None:
    before, facts = account.alias, account.facts()
    asked = account.deploy_and_wait(change)
    # then callers are answered by the same model version on a new Lambda version
    assert asked["status"] == "SUCCEEDED"
    assert int(account.alias) > int(before)
    assert account.answers()
    served, latest = account.configuration(account.alias), account.configuration("$LATEST")
    assert (served["MemorySize"], served["Layers"]) == (latest["MemorySize"], latest["Layers"])
    old = account.configuration(before)
    assert (old["MemorySize"], old["Layers"]) != (latest["MemorySize"], latest["Layers"])
    assert old["CodeSha256"] == served["CodeSha256"]
    # and registry and ledger say so
    champion = account.deployment.registry.champion("returns")
    assert champion is not None
    assert (champion.version, champion.lambda_version) == (1, account.alias)
    assert champion.layers == [layer["Arn"] for layer in served["Layers"]]
    [(fact, evidence)] = account.facts()[len(facts) :]
    assert (fact, evidence["version"], evidence["former"]) == ("deployed", 1, 1)
    said = (evidence["lambda_version"], evidence["code_sha256"], evidence["layers"], evidence["runtime"])
    assert said == (account.alias, served["CodeSha256"], champion.layers, served["Runtime"])


def test_a_deployment_without_a_change_of_predict_changes_nothing(account: Account) -> None:
    before = account.alias, account.versions(), account.facts()

    def change(template: dict[str, Any]) -> None:
        function(template, "perennial-dev-models")["MemorySize"] += 64

    asked = account.deploy_and_wait(change)
    assert (asked["status"], json.loads(asked["output"])["published"]["lambda_version"]) == ("SUCCEEDED", None)
    assert (account.alias, account.versions(), account.facts()) == before


def test_nothing_to_deploy_asks_for_nothing(account: Account) -> None:
    known = len(account.rollouts())
    assert account.deploy(lambda template: None) == {}
    assert len(account.rollouts()) == known


def test_a_function_that_cannot_answer_never_gets_callers(account: Account) -> None:
    before, facts = account.alias, account.facts()
    handler = account.configuration("$LATEST")["Handler"]

    def to(name: str) -> Change:
        return lambda template: function(template).update(Handler=name)

    asked = account.deploy_and_wait(to("predict.handler.missing"))
    assert (asked["status"], asked["error"]) == ("FAILED", "SmokeFailed")
    assert "missing" in asked["cause"]
    assert account.alias == before
    assert account.answers()
    champion = account.deployment.registry.champion("returns")
    assert champion is not None
    assert champion.lambda_version == before
    [(fact, evidence)] = account.facts()[len(facts) :]
    assert (fact, evidence["version"], evidence["error"]) == ("rolled back", 1, "SmokeFailed")
    # put right, there is nothing left to do
    asked = account.deploy_and_wait(to(handler))
    assert (asked["status"], account.alias) == ("SUCCEEDED", before)


def test_old_lambda_versions_go(account: Account) -> None:
    while max(account.versions()) <= KEPT + 1:
        assert account.deploy_and_wait(more_memory)["status"] == "SUCCEEDED"
    assert account.deploy_and_wait(more_memory)["status"] == "SUCCEEDED"
    versions = account.versions()
    newest = max(versions)
    # the template's own, and the newest, without a gap
    assert versions == [1, *range(newest - KEPT + 1, newest + 1)]
    assert account.alias == str(newest)
    assert account.answers()
