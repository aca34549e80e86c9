"""Production on the local cloud: a version waits for a person, who is whoever signed, and serves only once approved."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import boto3
import pytest

from perennial.governance.records import Record
from perennial.registry import ModelVersion
from perennial.registry.promotion import workspace_of
from perennial.storage import translate
from scripts.cli.deployment import Deployment
from scripts.cli.local import free_port
from scripts.cli.signing import Api
from tests.local.grants import Roles, told
from tests.local.principals import document
from tests.local.shop import GOOD, Shop, eventually, new_shop, orders, tensors, write_catalog

pytestmark = [pytest.mark.xdist_group("approval"), pytest.mark.timeout(600)]

# what a person who decides may do: find the environment, call the API
DECIDER = [
    {"Effect": "Allow", "Action": ["ssm:GetParametersByPath"], "Resource": "*"},
    {"Effect": "Allow", "Action": ["execute-api:Invoke"], "Resource": "*"},
]
# what CDK grants, and what only failures use
REASONS = {
    ("*", "xray:PutTraceSegments"): "traces are not imitated",
    ("*", "xray:PutTelemetryRecords"): "traces are not imitated",
    ("*", "xray:GetSamplingRules"): "traces are not imitated",
    ("*", "xray:GetSamplingTargets"): "traces are not imitated",
    ("PromotionWorkflowRole", "states:StopExecution"): "an execution that is stopped ends its rollout",
    ("PromotionWorkflowRole", "states:DescribeExecution"): "events tell of the rollout's end",
}
JSON = {"content-type": "application/json"}
WAITING = "Waiting for approval in prod"


@dataclass
class Production:
    """Environment prod, the people around it, and their keys."""

    shop: Shop
    deployment: Deployment

    @property
    def states(self) -> Any:
        return self.deployment.client("stepfunctions")

    def user(self, name: str, *statements: dict[str, Any]) -> dict[str, str]:
        """A new IAM user; the variables that make a shell theirs."""
        iam = self.deployment.client("iam")
        iam.create_user(UserName=name)
        if statements:
            iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document(*statements))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}

    def role(self, name: str, *statements: dict[str, Any]) -> str:
        """A new role that anybody of the account may take on; its ARN."""
        trust = {"Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole"}
        iam = self.deployment.client("iam")
        made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))
        iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=document(*statements))
        return str(made["Role"]["Arn"])

    def session(self, role: str, name: str) -> dict[str, str]:
        """A session of a role, called `name`; its variables."""
        keys = self.deployment.client("sts").assume_role(RoleArn=role, RoleSessionName=name)["Credentials"]
        return {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
        }

    def shell(self, who: dict[str, str]) -> Shop:
        """The same shop with somebody else's keys."""
        return Shop(self.shop.workdir, self.shop.environment | who)

    def api(self, who: dict[str, str]) -> Api:
        """The HTTP API, signed by somebody."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in who.items():
                patch.setenv(name, value)
            return Api(self.shop.environment["PERENNIAL_API_URL"])

    def serves(self) -> str | None:
        """The version that answers; None when none does."""
        path, body = "/v2/models/returns/infer", json.dumps(tensors(**GOOD)).encode()
        status, reply = self.shop.api.request("POST", path, body, {"content-type": "application/json"})
        return str(json.loads(reply)["model_version"]) if status == 200 else None

    def promote(self, run: str, who: dict[str, str]) -> tuple[int, str]:
        """Promote version 1 here once more, as if from dev: the new version, and the execution that waits with it."""
        version = self.deployment.registry.get("returns", 1)
        claimed = "arn:aws:iam::123456789012:user/somebody-else"
        files = workspace_of(version, self.deployment.data, environment="dev", by=claimed, at=datetime.now(UTC))
        for name, body in files.items():
            self.deployment.data.put(f"staging/{run}/{name}", body)
        told = self.api(who).json("POST", "/promotions", {"model": "returns", "run": run})
        [waits] = eventually(lambda: [one for one in self.waiting() if one["run"] == run])
        assert waits["execution"] == told["execution"]
        return int(waits["version"]), str(told["execution"])

    def waiting(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.shop.api.json("GET", "/approvals")["approvals"]
        return found

    def version(self, number: int) -> ModelVersion:
        return self.deployment.registry.get("returns", number)

    def ended(self, execution: str) -> dict[str, Any]:
        """The execution once it has ended."""

        def look() -> Any:
            described = self.states.describe_execution(executionArn=execution)
            return None if described["status"] == "RUNNING" else described

        found: dict[str, Any] = eventually(look)
        return found

    def facts(self, version: int) -> list[Record]:
        """What the ledger says of a version."""
        return [one for one in self.deployment.ledger.read("model/returns") if one.evidence.get("version") == version]

    def decide(self, decision: str, version: int, who: dict[str, str]) -> tuple[int, str]:
        """Somebody's signed decision: status and body."""
        body = json.dumps({"decision": decision, "reason": "seen"}).encode()
        status, reply = self.api(who).request("POST", f"/approvals/returns/{version}", body, JSON)
        return status, reply.decode()


@pytest.fixture(scope="module")
def production(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Production]:
    shop = new_shop(tmp_path_factory.mktemp("production"))
    catalog = write_catalog(shop.workdir / "catalog")
    shop.json("up", "--env", "prod", "--detach", "--port", str(free_port()), "--catalog", str(catalog))
    try:
        shop.environment.update(shop.json("env"))
        with pytest.MonkeyPatch.context() as patch:
            for name, value in shop.environment.items():
                if name.startswith(("AWS_", "PERENNIAL_")):
                    patch.setenv(name, value)
            patch.setattr(boto3, "DEFAULT_SESSION", None)
            translate.client.cache_clear()
            yield Production(shop, Deployment("prod"))
    finally:
        translate.client.cache_clear()
        shop.run("down")


@pytest.fixture(scope="module")
def bob(production: Production) -> dict[str, str]:
    return production.user("bob", *DECIDER)


@pytest.fixture(scope="module")
def deployers(production: Production) -> str:
    """The role that promotes."""
    return production.role("Deployers", *DECIDER)


@dataclass(frozen=True)
class First:
    """What was seen on the way of the first version."""

    waiting: list[dict[str, Any]]
    served_while_waiting: str | None
    rollout_by_hand: dict[str, Any]
    refusals: list[tuple[int, str]]
    approved: dict[str, Any]
    lifecycle: dict[str, Any]
    served: str | None


@pytest.fixture(scope="module")
def first(production: Production, bob: dict[str, str]) -> First:
    """A dropped file, its version that waits, attempts around it, and Bob's approval."""
    production.shop.drop("january.csv", orders(1))
    waiting = eventually(production.waiting)
    served_while_waiting = production.serves()
    by_hand = production.states.start_execution(
        stateMachineArn=production.deployment.parameters["rollout-workflow"],
        input=json.dumps({"model": "returns", "version": 1}),
    )["executionArn"]
    refusals = [
        production.decide("approve", 1, production.user("stranger")),
        production.decide("approve", 2, bob),
        production.decide("perhaps", 1, bob),
    ]
    rollout_by_hand = production.ended(by_hand)
    approved = production.shell(bob).json("approve", "returns", "1", "--reason", "good enough")
    lifecycle = production.ended(waiting[0]["execution"])
    return First(waiting, served_while_waiting, rollout_by_hand, refusals, approved, lifecycle, production.serves())


def test_a_version_waits_and_serves_nobody_until_a_person_approves_it(production: Production, first: First) -> None:
    [waits] = first.waiting
    assert (waits["model"], waits["version"], waits["authors"]) == ("returns", 1, [])
    assert first.served_while_waiting is None
    assert (first.approved["state"], first.approved["resumed"]) == ("approved", True)
    assert first.approved["by"] == "arn:aws:iam::123456789012:user/bob"
    assert first.lifecycle["status"] == "SUCCEEDED"
    assert first.served == "1"
    facts = production.facts(1)
    assert [record.fact for record in facts] == [
        "registered",
        "approval requested",
        "rolled back",
        "approved",
        "deployed",
    ]
    approval = facts[-2]
    assert (approval.actor, approval.evidence["reason"]) == (first.approved["by"], "good enough")
    assert production.shop.json("ledger", "verify")["ok"] is True


def test_there_is_no_way_around(production: Production, first: First) -> None:
    assert (first.rollout_by_hand["status"], first.rollout_by_hand["error"]) == ("FAILED", "VersionRefused")
    assert "not approved" in first.rollout_by_hand["cause"]
    assert [status for status, _ in first.refusals] == [403, 404, 400]


def test_approving_again_says_the_same_and_another_decision_comes_too_late(
    production: Production, first: First, bob: dict[str, str]
) -> None:
    again = production.shell(bob).json("approve", "returns", "1", "--reason", "good enough")
    assert again == first.approved | {"resumed": False}
    assert production.decide("reject", 1, bob)[0] == 409
    assert production.serves() == "1"


def test_who_promoted_a_version_may_not_approve_it_under_any_session_name(
    production: Production, first: First, bob: dict[str, str], deployers: str
) -> None:
    version, execution = production.promote("dev-forged", production.session(deployers, "ci"))
    for name in ("ci", "bob", "somebody"):
        status, said = production.decide("approve", version, production.session(deployers, name))
        assert (status, "another has to approve it" in said) == (403, True)
    assert production.serves() == "1"

    approver = production.session(production.role("Approvers", *DECIDER), "ci")
    status, said = production.decide("approve", version, approver)
    assert status == 200
    assert json.loads(said)["by"].endswith(":assumed-role/Approvers/ci")
    ended = production.ended(execution)
    assert (ended["status"], json.loads(ended["output"])["approval"]) == ("SUCCEEDED", {"approved": True})
    [approval] = [record for record in production.facts(version) if record.fact == "approved"]
    assert approval.evidence["authors"] == [
        f"{deployers.replace(':iam:', ':sts:').replace(':role/', ':assumed-role/')}/ci"
    ]
    assert production.serves() == str(version)


def test_a_rejected_version_is_never_deployed_and_the_champion_serves_on(
    production: Production, first: First, bob: dict[str, str], deployers: str
) -> None:
    before = production.serves()
    version, execution = production.promote("dev-rejected", production.session(deployers, "ci"))
    told = production.shell(bob).run("reject", "returns", str(version), "--reason", "trained on test orders")
    assert f"Version {version} of returns is rejected" in told
    ended = production.ended(execution)
    assert (ended["status"], json.loads(ended["output"])["approval"]) == ("SUCCEEDED", {"approved": False})
    found = production.version(version)
    assert found.review is not None
    assert (found.state, found.review.reason) == ("refused", "trained on test orders")
    assert [record.fact for record in production.facts(version)] == ["registered", "approval requested", "rejected"]
    assert production.serves() == before


def test_what_nobody_decides_about_is_not_deployed(
    production: Production, first: First, bob: dict[str, str], deployers: str
) -> None:
    before = production.serves()
    version, execution = production.promote("dev-forgotten", production.session(deployers, "ci"))
    assert str(version) in production.shop.run("approvals")
    production.shop.run("tick", "8d")
    ended = production.ended(execution)
    assert (ended["status"], json.loads(ended["output"])["approval"]) == ("SUCCEEDED", {"approved": False})
    assert f"{WAITING}: nothing" in production.shop.run("approvals")
    assert "timed out" in production.shell(bob).run("approve", "returns", str(version), "--reason", "late", expect=1)
    found = production.version(version)
    assert found.review is not None
    assert (found.state, found.review.verdict) == ("unapproved", "expired")
    expired = production.facts(version)[-1]
    assert (expired.fact, expired.actor) == ("approval expired", "approve")
    assert production.serves() == before


def test_stage_approve_and_the_promotion_use_what_they_are_granted(
    production: Production, first: First, bob: dict[str, str], deployers: str
) -> None:
    version, execution = production.promote("dev-grants", production.session(deployers, "ci"))
    assert production.decide("approve", version, bob)[0] == 200
    assert production.ended(execution)["status"] == "SUCCEEDED"
    decisions = Path(production.shop.environment["PERENNIAL_WORKDIR"]) / "decisions.jsonl"
    unused = Roles.read(production.deployment.client("iam"), decisions).unused()
    mine = [grant for grant in unused if grant.role in ("ApproveRole", "PromotionWorkflowRole")]
    surprising = told(mine, REASONS)
    assert not surprising, "\n".join(surprising)
