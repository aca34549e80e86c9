"""A deployment of the template while a model serves: the champion is rolled out again, or goes on as it was."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import yaml
from onnx import TensorProto, helper, numpy_helper

from infra.synth import synthesize
from perennial.registry.registration import COPIED
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
            if self.waits(execution["executionArn"]):
                self._control("tick", {"seconds": 5})
        return [] if any(execution["status"] == "RUNNING" for execution in told) else told

    def waits(self, execution: str) -> bool:
        """Whether the execution is in a state that waits."""
        pages = self.states.get_paginator("get_execution_history").paginate(executionArn=execution)
        events = [event for page in pages for event in page["events"]]
        return bool(events) and max(events, key=lambda event: event["id"])["type"] == "WaitStateEntered"

    def _control(self, verb: str, body: dict[str, Any]) -> dict[str, Any]:
        return local.control(self.shop.environment["AWS_ENDPOINT_URL"], verb, body)

    @property
    def alias(self) -> str:
        found: str = self.lambda_.get_alias(FunctionName=FUNCTION, Name="live")["FunctionVersion"]
        return found

    @property
    def weights(self) -> dict[str, float]:
        found = self.lambda_.get_alias(FunctionName=FUNCTION, Name="live").get("RoutingConfig") or {}
        weights: dict[str, float] = found.get("AdditionalVersionWeights") or {}
        return weights

    def ended(self, execution: str) -> dict[str, Any] | None:
        """The execution, once it has ended."""
        told: dict[str, Any] = self.states.describe_execution(executionArn=execution)
        return None if told["status"] == "RUNNING" else told

    def tick(self, seconds: float) -> None:
        self._control("tick", {"seconds": seconds})

    def records(self) -> int:
        """The predictions that the function's log has taken."""
        pages = self.deployment.client("logs").get_paginator("filter_log_events")
        told = [event for page in pages.paginate(logGroupName=f"/aws/lambda/{FUNCTION}") for event in page["events"]]
        return sum('"record":"prediction"' in event["message"] for event in told)

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


# ---- rollouts by steps

# Margins so wide that some dozens of requests show something.
STEPS = {
    "steps": [0.5],
    "dwell": "1m",
    "requests": 20,
    "limit": "2h",
    "errors": {"alpha": 0.05, "ratio": 3, "rate": 0.2},
}
DEAR = 1e6


@pytest.fixture
def by_steps(account: Account) -> None:
    """A deployment whose catalog wants steps. The catalog's object is changed in place, to spare a synthesis."""
    bucket, _, key = account.deployment.parameters["catalog"].removeprefix("s3://").partition("/")
    s3, buffer = account.deployment.client("s3"), io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read())) as old:
        files = {name: old.read(name) for name in old.namelist()}
    spec = yaml.safe_load(files["models/returns.yaml"]) | {"rollout": STEPS}
    files["models/returns.yaml"] = yaml.safe_dump(spec, allow_unicode=True).encode()
    with zipfile.ZipFile(buffer, "w") as new:
        for name, content in files.items():
            new.writestr(name, content)
    s3.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())
    # processes keep the catalog that they have read
    account.deploy(lambda template: function(template, "perennial-dev-deploy").update(MemorySize=1088), "loop")


def challenge(account: Account, run: str, graph: Callable[[bytes], bytes] = lambda graph: graph) -> str:
    """Register a version like the first, but for what `graph` does to it, and have it rolled out; its execution."""
    first = account.deployment.registry.get("returns", 1)
    files = {name: account.deployment.data.get(first.prefix + name) for name in COPIED}
    files["model.onnx"] = graph(files["model.onnx"])
    for name in ("request.json", "training.json", "evaluation.json"):
        told = json.loads(files[name]) | {"run": run}
        if name == "evaluation.json":  # which names the graph that it found fit to be deployed
            told["deployed"]["sha256"] = hashlib.sha256(files["model.onnx"]).hexdigest()
        files[name] = json.dumps(told).encode()
    for name, content in files.items():
        account.deployment.data.put(f"staging/{run}/{name}", content)
    known = {one["executionArn"] for one in account.rollouts()}
    account.states.start_execution(
        stateMachineArn=account.deployment.parameters["promotion-workflow"],
        input=json.dumps({"model": "returns", "run": run}),
    )
    [arn] = eventually(lambda: {one["executionArn"] for one in account.rollouts()} - known)
    # a step begins when the state that moves the alias is over
    eventually(lambda: account.weights and account.waits(str(arn)))
    return str(arn)


def _opened(graph: bytes) -> tuple[onnx.ModelProto, str, str]:
    """The graph, whose answer is called `answer` now and goes nowhere yet; the names of its price and of its output."""
    model = onnx.load_from_string(graph)
    price, output = model.graph.input[0].name, model.graph.output[0].name
    for node in model.graph.node:
        node.output[:] = ["answer" if name == output else name for name in node.output]
    return model, price, output


def no_number_for_dear_things(graph: bytes) -> bytes:
    """A graph that knows no answer for whatever is dearer than anything it was tried with."""
    model, price, output = _opened(graph)
    model.graph.node.extend(
        [
            helper.make_node("Greater", [price, "dear"], ["is_dear"]),
            helper.make_node("Where", ["is_dear", "unknown", "answer"], [output]),
        ]
    )
    model.graph.initializer.extend(
        helper.make_tensor(name, TensorProto.FLOAT, [1], [value])
        for name, value in (("dear", DEAR / 2), ("unknown", float("nan")))
    )
    return bytes(model.SerializeToString())


def _beside(graph: bytes, nodes: Callable[[str], list[onnx.NodeProto]], **stated: Any) -> bytes:
    """The graph, whose answer gets 0 times `nothing` added, a number that `nodes` make of `dear`: 1.0 for what is dear
    (of several rows for one of them), else 0.0.
    """
    model, price, output = _opened(graph)
    model.graph.node.extend(
        [
            helper.make_node("Greater", [price, "limit"], ["each"]),
            helper.make_node("Cast", ["each"], ["each_number"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMax", ["each_number"], ["dear"], keepdims=0),
            *nodes("dear"),
            helper.make_node("Mul", ["nothing", "zero"], ["none"]),
            helper.make_node("Add", ["answer", "none"], [output]),
        ]
    )
    stated |= {"limit": np.array([DEAR / 2], np.float32), "zero": np.array(0, np.float32)}
    model.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in stated.items())
    return bytes(model.SerializeToString())


def much_work(graph: bytes) -> bytes:
    """A graph that multiplies large matrices besides, whatever it is asked."""

    def nodes(dear: str) -> list[onnx.NodeProto]:
        times = [helper.make_node("MatMul", [f"m{step}", "eye"], [f"m{step + 1}"]) for step in range(8)]
        return [helper.make_node("Expand", [dear, "size"], ["m0"]), *times,
                helper.make_node("ReduceMean", ["m8"], ["nothing"], keepdims=0)]  # fmt: skip

    return _beside(graph, nodes, size=np.array([512, 512]), eye=np.eye(512, dtype=np.float32))


def much_memory_for_dear_things(graph: bytes) -> bytes:
    """A graph that holds two gigabytes while it answers what is dear."""

    def nodes(dear: str) -> list[onnx.NodeProto]:
        inner, large = [], [f"e{number}" for number in range(16)]
        for before, name in pairwise([dear, *large]):  # each another, or one would do for all
            inner.append(helper.make_node("Expand", [before, "size"], [name + "_"]))
            inner.append(helper.make_node("Add", [name + "_", "one"], [name]))
        inner.append(helper.make_node("Sum", large, ["sum"]))
        inner.append(helper.make_node("ReduceMean", ["sum"], ["much"], keepdims=0))
        number = [helper.make_tensor_value_info(name, TensorProto.FLOAT, []) for name in ("much", "little")]
        then = helper.make_graph(inner, "then", [], number[:1])
        other = helper.make_graph([helper.make_node("Identity", [dear], ["little"])], "else", [], number[1:])
        return [
            helper.make_node("Cast", [dear], ["is_dear"], to=TensorProto.BOOL),
            helper.make_node("If", ["is_dear"], ["nothing"], then_branch=then, else_branch=other),
        ]

    return _beside(graph, nodes, size=np.array([2**25]), one=np.array(1, np.float32))


@pytest.mark.full
@pytest.mark.parametrize(
    ("harm", "requests", "answered", "reason"),
    [
        # of the pairs that these make, ten are enough
        (much_work, 100, {200}, "slower than 2 times the champion"),
        (much_memory_for_dear_things, 40, {200, 500}, "times as often as the champion"),
    ],
    ids=["slow", "eats memory"],
)
def test_a_challenger_that_is_slow_or_eats_memory_is_rolled_back_with_the_reason_and_what_it_spoiled(
    account: Account,
    by_steps: None,
    harm: Callable[[bytes], bytes],
    requests: int,
    answered: set[int],
    reason: str,
) -> None:
    before, facts = account.alias, account.facts()
    execution = challenge(account, harm.__name__, harm)
    assert set(call(account, requests, DEAR)) == answered

    def ended() -> dict[str, Any] | None:
        account.tick(60)  # the log may come after the first look
        return account.ended(execution)

    told = eventually(ended)
    assert (told["status"], told["error"]) == ("FAILED", "ChallengerRefused")
    assert reason in told["cause"]
    assert (account.alias, account.weights) == (before, {})
    [(fact, evidence)] = account.facts()[len(facts) :]
    assert (fact, evidence["verdict"], evidence["steps"]) == ("rolled back", "rollback", 1)
    # about half of the requests were its own, and all of those spoiled
    assert 0.2 < evidence["seen"]["spoiled_share"] < 0.8
    assert account.answers()


def call(account: Account, requests: int, price: float) -> list[int]:
    """Requests of a minute of their own; their statuses. Once their records are in the log, the clock goes on to where
    the next look is due.
    """
    before = account.records()
    body = json.dumps(tensors(price=[price], größe=["S"], first_order=[True])).encode()
    account.tick(60)
    statuses = [account.shop.api.request("POST", "/v2/models/returns/infer", body)[0] for _ in range(requests)]
    eventually(lambda: account.records() >= before + statuses.count(200))
    account.tick(540)
    return statuses


def test_a_canary_that_fails_goes_back_and_one_that_does_not_is_promoted_whatever_is_deployed_meanwhile(
    account: Account, by_steps: None
) -> None:
    before, facts = account.alias, account.facts()
    # given a challenger that has no answer for what is dear
    failing = challenge(account, "dear", no_number_for_dear_things)
    assert set(call(account, 60, DEAR)) == {200, 500}
    told = eventually(lambda: account.ended(failing))
    assert (told["status"], told["error"]) == ("FAILED", "ChallengerRefused")
    assert "times as often as the champion" in told["cause"]
    assert (account.alias, account.weights) == (before, {})
    [(fact, evidence)] = account.facts()[len(facts) :]
    assert (fact, evidence["verdict"], evidence["steps"]) == ("rolled back", "rollback", 1)
    assert 0.2 < evidence["seen"]["spoiled_share"] < 0.8
    assert account.answers()

    # given a challenger that is as good as the champion, and a template that is deployed while it is tried
    equal = challenge(account, "equal")
    weights, known = account.weights, {one["executionArn"] for one in account.rollouts()}
    assert list(weights.values()) == [0.5]
    assert account.deploy(more_memory)
    assert (account.alias, account.weights) == (before, weights)
    [waiting] = eventually(lambda: {one["executionArn"] for one in account.rollouts()} - known)
    assert set(call(account, 60, 10.0)) == {200}
    told = eventually(lambda: account.ended(equal))
    # then it is promoted on the function it was tried on, and rolled out on the new one after that
    assert told["status"] == "SUCCEEDED", told
    [(served, promoted)] = account.facts()[len(facts) + 1 :]
    assert (served, promoted["verdict"], promoted["former"]) == ("deployed", "promote", 1)
    assert promoted["seen"]["errors"] == 0
    assert promoted["lambda_version"] == next(iter(weights))
    memory = account.configuration("$LATEST")["MemorySize"]
    assert account.configuration(account.alias)["MemorySize"] < memory

    def weighted() -> dict[str, float]:
        account.tick(60)  # what waits for its turn asks within the hour; its own first look is ten minutes later
        return account.weights

    eventually(weighted)
    assert account.configuration(next(iter(account.weights)))["MemorySize"] == memory

    # when a person takes that back, it moves nothing any more, however often; named, what serves is taken back too
    [model] = account.shop.json("status")["models"]
    version = promoted["version"]
    assert model["rollout"] == {"version": version, "weight": 0.5, "running": True}
    told = account.shop.json("rollback", "returns", "--reason", "too much memory")
    assert (told["taken_back"], told["serving"], told["stopped"]) == (version, version, waiting)
    assert (account.alias, account.weights) == (promoted["lambda_version"], {})
    account.tick(600)
    assert eventually(lambda: account.ended(waiting))["error"] == "RolloutStopped"
    again = account.shop.json("rollback", "returns", "--reason", "too much memory")
    assert (again["already"], again["serving"], account.alias) == (True, version, promoted["lambda_version"])
    told = account.shop.json("rollback", "returns", "--version", str(version), "--reason", "it was better before")
    assert (told["taken_back"], told["serving"], account.alias) == (version, 1, before)
    assert "was taken back already" in account.shop.run("rollback", "returns")
    assert account.answers()
    by = [record.actor for record in account.deployment.ledger.read("model/returns") if record.fact == "rolled back"]
    assert [actor for actor in by if actor.startswith("arn:aws:iam::")] == [told["by"]] * 2
