"""Stage approve: who may decide, what is decided once, and what comes of it, whatever repeats or dies."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from functions.approve.handler import lambda_handler
from functions.register.handler import lambda_handler as register_handler
from perennial.approval.approvals import Approvals
from perennial.door import MAX_BODY
from perennial.errors import ApprovalWaits, AuthorUnknown, ConditionFailed, VersionRefused
from perennial.governance.records import object_key
from perennial.registry import ModelVersion, Registry
from perennial.registry.fetch import fetch
from perennial.registry.promotion import workspace_of
from perennial.retraining.records import asked_by
from perennial.stage import InputInvalid
from perennial.storage import translate
from perennial.storage.items import Items
from tests.crash import crash_at
from tests.functions.conftest import World
from tests.runs import leave
from tests.unit.serving.bundles import MODEL

EVENTS = Path(__file__).parents[2] / "events"
ASK = json.loads((EVENTS / "approve.json").read_text())
EXPIRE = json.loads((EVENTS / "approve-expire.json").read_text())
ASKED = datetime.fromisoformat(ASK["as_of"])
ACCOUNT = "123456789012"

Identity = tuple[str, str]
ANA: Identity = (f"arn:aws:iam::{ACCOUNT}:user/ana", "AIDACKCEVSQ6C2EXAMPLE")
BOB: Identity = (f"arn:aws:iam::{ACCOUNT}:user/bob", "AIDABOBBOBBOBBOBBOBBO")
ROLE = "AROADBQP57FF2AEXAMPLE"


def session(name: str, role: str = "Deployer", unique: str = ROLE) -> Identity:
    return f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/{name}", f"{unique}:{name}"


@dataclass
class Office:
    """Stage approve, called as workflows and people call it; what executions were told under which token."""

    world: World
    told: list[tuple[str, Any]] = field(default_factory=list)
    over: set[str] = field(default_factory=set)

    @property
    def registry(self) -> Registry:
        return Registry(self.world.registry)

    @property
    def version(self) -> ModelVersion:
        return self.registry.get(MODEL, 1)

    def register(self, run: str = "r1") -> int:
        leave(self.world.data, run)
        message = {"model": MODEL, "run": run, "as_of": ASK["as_of"]}
        return int(register_handler(message, None)["version"])

    def ask(self, **changes: Any) -> Any:
        return lambda_handler(ASK | {"version": 1} | changes, None)["approved"]

    def expire(self, **changes: Any) -> Any:
        return lambda_handler(EXPIRE | {"version": 1} | changes, None)["approved"]

    def call(
        self,
        name: str,
        who: Identity | None = BOB,
        *,
        path: str | None = None,
        body: Any = None,
        at: datetime = ASKED + timedelta(hours=1),
    ) -> tuple[int, Any]:
        """Send the sample request `name`, signed by `who`; status and parsed body."""
        event = json.loads((EVENTS / f"approve-{name}.json").read_text())
        context = event["requestContext"]
        context["timeEpoch"] = int(at.timestamp() * 1000)
        if who is None:
            del context["authorizer"]
        else:
            context["authorizer"]["iam"] |= {"userArn": who[0], "userId": who[1], "callerId": who[1]}
        if path is not None:
            event["rawPath"] = context["http"]["path"] = path
        if body is not None:
            event["body"] = body if isinstance(body, str) else json.dumps(body)
        reply = lambda_handler(event, None)
        return reply["statusCode"], json.loads(reply["body"])

    def decide(
        self, decision: str, who: Identity | None = BOB, reason: str = "checked", **more: Any
    ) -> tuple[int, Any]:
        """Decide about version 1."""
        body = {"decision": decision, "reason": reason}
        return self.call("decide", who, path=f"/approvals/{MODEL}/1", body=body, **more)

    def facts(self) -> list[str]:
        return self.world.ledger_facts(f"model/{MODEL}")

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Step Functions' part of SendTaskSuccess, which moto here takes without a word."""
        events = translate.client("stepfunctions").meta.events

        def answer(request: Any, **_: Any) -> AWSResponse:
            sent = json.loads(request.body)
            waits = sent["taskToken"] not in self.over
            if waits:
                self.told.append((sent["taskToken"], json.loads(sent["output"])))
                self.over.add(sent["taskToken"])
            reply = {} if waits else {"__type": "TaskTimedOut", "message": "Task Timed Out"}
            return Answered(request.url, 200 if waits else 400, json.dumps(reply).encode())

        # last of all that listen, so that a crash before it is one
        events.register_first("before-send.stepfunctions.SendTaskSuccess", answer, unique_id="office")
        try:
            yield
        finally:
            events.unregister("before-send.stepfunctions.SendTaskSuccess", unique_id="office")


class Answered(AWSResponse):
    """A whole reply."""

    def __init__(self, url: str, status: int, body: bytes) -> None:
        super().__init__(url, status, HTTPHeaders(), None)
        self._content = body


@pytest.fixture
def office(world: World) -> Iterator[Office]:
    """Version 1 of the model, registered where a person has to approve."""
    world.setenv(APPROVAL_REQUIRED="true")
    office = Office(world)
    assert office.register() == 1
    with office.listening():
        yield office


@pytest.fixture
def waiting(office: Office) -> Office:
    """The same once a workflow waits with it."""
    assert office.ask() is None
    return office


@pytest.fixture
def promoted(world: World) -> Office:
    """Ana has promoted version 1 here, and its workflow waits."""
    leave(world.data, "r0")
    dev = Registry(world.registry)
    register_handler({"model": MODEL, "run": "r0", "as_of": ASK["as_of"]}, None)
    claimed = f"arn:aws:iam::{ACCOUNT}:user/somebody-else"
    files = workspace_of(dev.get(MODEL, 1), world.data, environment="dev", by=claimed, at=ASKED)
    items = Items(world.account.table("perennial-prod-registry"))
    world.setenv(APPROVAL_REQUIRED="true", REGISTRY_TABLE=items.table)
    world.registry = items
    for name, body in files.items():
        world.data.put(f"staging/dev-r0/{name}", body)
    return Office(world)


def promote(office: Office, who: Identity) -> Any:
    status, told = office.call("promote", who, body={"model": MODEL, "run": "dev-r0"})
    assert status == 200, told
    message = {"model": MODEL, "run": "dev-r0", "as_of": ASK["as_of"]}
    assert register_handler(message, None)["version"] == 1
    return told


# ---- asking


def test_a_version_that_passed_waits_and_cannot_be_deployed(office: Office, tmp_path: Path) -> None:
    assert office.version.state == "unapproved"
    with pytest.raises(VersionRefused, match="not approved"):
        fetch(office.version, office.world.data, tmp_path)
    with pytest.raises(ConditionFailed):
        office.registry.set_champion(MODEL, 1, None, at=ASKED, why="around the gate")


def test_where_nobody_has_to_approve_a_version_may_be_deployed_at_once(world: World) -> None:
    office = Office(world)
    office.register()
    assert office.version.state == "registered"
    with office.listening():
        assert office.ask() is True
    assert office.told == [(ASK["token"], {"approved": True})]


def test_what_waits_is_told_to_the_bus_the_topic_and_the_ledger_without_its_token(office: Office) -> None:
    sns, sqs = office.world.client("sns"), office.world.client("sqs")
    url = sqs.create_queue(QueueName="people")["QueueUrl"]
    queue = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    [topic] = [one["TopicArn"] for one in sns.list_topics()["Topics"]]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue)

    assert office.ask() is None

    [fact] = office.world.facts("Approval Requested")
    assert (fact["detail"]["model"], fact["detail"]["version"], fact["detail"]["authors"]) == (MODEL, 1, [])
    [message] = sqs.receive_message(QueueUrl=url)["Messages"]
    notice = json.loads(message["Body"])
    assert f"{MODEL} 1 waits for approval" in notice["Subject"]
    assert f"perennial approve {MODEL} 1 --env dev" in notice["Message"]
    assert office.facts() == ["registered", "approval requested"]
    listed = office.call("list")[1]
    told = [*office.world.ledger.read(f"model/{MODEL}"), fact, notice, listed]
    assert ASK["token"] not in "".join(str(one) for one in told)
    [one] = listed["approvals"]
    assert (one["model"], one["version"], one["authors"]) == (MODEL, 1, [])
    assert datetime.fromisoformat(one["expires_at"]) == ASKED + timedelta(days=7)


def test_a_second_execution_leaves_the_first_its_token(waiting: Office) -> None:
    """So POST /promotions with the run of a training that waits here: the training's execution goes on."""
    with pytest.raises(ApprovalWaits, match=f"waits already, with {ASK['execution']}"):
        waiting.ask(execution=ASK["execution"] + "-again", token="second")
    assert waiting.facts().count("approval requested") == 1
    assert waiting.decide("approve")[0] == 200
    assert waiting.told == [(ASK["token"], {"approved": True})]
    assert waiting.ask(execution=ASK["execution"] + "-again", token="third") is True


def test_asking_again_replaces_the_token_and_tells_nobody_twice(waiting: Office) -> None:
    assert waiting.ask(token="second") is None
    assert waiting.facts().count("approval requested") == 1
    assert waiting.decide("approve")[0] == 200
    assert waiting.told == [("second", {"approved": True})]


def test_asking_after_the_decision_is_answered_at_once(waiting: Office) -> None:
    waiting.over.add(ASK["token"])
    status, told = waiting.decide("approve")
    assert (status, told["resumed"]) == (200, False)
    assert waiting.ask(token="second") is True
    assert waiting.told == [("second", {"approved": True})]


def test_a_token_is_needed_to_wait(office: Office) -> None:
    with pytest.raises(InputInvalid, match="token"):
        office.ask(token=None)


# ---- deciding


def test_approval_lets_the_execution_go_on(waiting: Office) -> None:
    status, told = waiting.decide("approve", BOB, "  AUC as before  ")
    assert (status, told["state"], told["by"], told["reason"]) == (200, "approved", BOB[0], "AUC as before")
    assert waiting.told == [(ASK["token"], {"approved": True})]
    assert waiting.version.state == "registered"
    review = waiting.version.review
    assert review is not None
    assert (review.verdict, review.by, review.reason) == ("approved", BOB[0], "AUC as before")
    record = list(waiting.world.ledger.read(f"model/{MODEL}"))[-1]
    assert (record.fact, record.actor, record.evidence["principal"]) == ("approved", BOB[0], BOB[1])
    assert record.evidence["reason"] == "AUC as before"
    assert waiting.call("list")[1] == {"approvals": []}


def test_rejection_refuses_the_version_for_good(waiting: Office, tmp_path: Path) -> None:
    status, told = waiting.decide("reject", BOB, "trained on test orders")
    assert (status, told["state"]) == (200, "rejected")
    assert waiting.told == [(ASK["token"], {"approved": False})]
    assert waiting.version.state == "refused"
    assert waiting.facts() == ["registered", "approval requested", "rejected"]
    with pytest.raises(VersionRefused, match="trained on test orders"):
        fetch(waiting.version, waiting.world.data, tmp_path)
    with pytest.raises(VersionRefused):
        waiting.ask(token="again")


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_the_same_decision_again_is_the_same_answer_and_no_second_record(waiting: Office, decision: str) -> None:
    first = waiting.decide(decision)[1]
    before = waiting.facts()
    assert waiting.decide(decision)[1] == first | {"resumed": False}
    assert waiting.facts() == before
    assert len(waiting.told) == 1


@pytest.mark.parametrize(("decision", "who"), [("reject", BOB), ("approve", ANA), ("reject", ANA)])
def test_what_is_decided_stays_decided(waiting: Office, decision: str, who: Identity) -> None:
    waiting.decide("approve", BOB)
    status, told = waiting.decide(decision, who)
    assert status == 409
    assert f"was approved by {BOB[0]}: checked" in told["error"]
    assert waiting.version.state == "registered"


def test_what_nobody_asked_for_cannot_be_decided(office: Office) -> None:
    assert office.decide("approve")[0] == 404
    for path in ("/approvals/nobody/1", f"/approvals/{MODEL}/0", f"/approvals/{MODEL}/one", "/approvals/A%20b/1"):
        status, told = office.call("decide", path=path)
        assert status == 404
        assert told["error"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"decision": "approve"}, "reason"),
        ({"decision": "approve", "reason": " \n"}, "reason"),
        ({"decision": "approve", "reason": "x" * 1001}, "reason"),
        ({"decision": "approve", "reason": 7}, "reason"),
        ({"decision": "perhaps", "reason": "x"}, "decision"),
        ({"decision": "approve", "reason": "x", "by": "arn:aws:iam::1:user/x"}, "by"),
        ('{"decision": "approve", "decision": "reject", "reason": "x"}', "twice"),
        ("[]", "object"),
        ("{", "JSON"),
        ("[" * 10_000, "JSON"),
    ],
)
def test_a_bad_decision_is_a_400_that_says_why(waiting: Office, body: Any, words: str) -> None:
    status, told = waiting.call("decide", path=f"/approvals/{MODEL}/1", body=body)
    assert (status, words in told["error"]) == (400, True) or "nested" in told["error"]
    assert waiting.version.state == "unapproved"


def test_a_body_without_end_is_refused_unread(waiting: Office) -> None:
    assert waiting.decide("approve", BOB, "x" * 20_000)[0] == 413


# ---- who


@pytest.mark.parametrize(
    "who",
    [
        None,
        ("", ""),
        (BOB[0], ROLE + ":bob"),
        (BOB[0], ACCOUNT),
        (session("bob")[0], BOB[1]),
        (f"arn:aws:sts::{ACCOUNT}:federated-user/bob", f"{ACCOUNT}:bob"),
        (f"arn:aws:iam::{ACCOUNT}:root", "999999999999"),
        ("arn:aws:iam::12:user/bob", BOB[1]),
        (f"arn:aws:iam::{ACCOUNT}:group/bob", BOB[1]),
    ],
)
def test_who_cannot_be_told_apart_may_not_decide(waiting: Office, who: Identity | None) -> None:
    for decision in ("approve", "reject"):
        status, told = waiting.decide(decision, who)
        assert status == 403
        assert "neither an IAM user nor a role" in told["error"]
    assert waiting.version.state == "unapproved"
    assert waiting.told == []


def test_the_author_of_a_promotion_is_who_signed_it_whatever_its_files_claim(promoted: Office) -> None:
    told = promote(promoted, ANA)
    assert told["author"] == ANA[0]
    [execution] = promoted.world.client("stepfunctions").list_executions(
        stateMachineArn=told["execution"].replace(":execution:", ":stateMachine:").rpartition(":")[0]
    )["executions"]
    assert execution["executionArn"] == told["execution"]
    with promoted.listening():
        assert promoted.ask() is None
        status, refused = promoted.decide("approve", ANA)
        assert status == 403
        assert ANA[0] in refused["error"]
        assert promoted.version.state == "unapproved"
        assert promoted.call("list")[1]["approvals"][0]["authors"] == [ANA[0]]
        assert promoted.decide("approve", BOB)[0] == 200
    assert list(promoted.world.ledger.read(f"model/{MODEL}"))[-1].evidence["authors"] == [ANA[0]]


def test_who_asked_for_a_training_is_its_author_too(office: Office) -> None:
    office.register()
    asked = asked_by(MODEL, *ANA, "the world moved", "request-1", ASKED)
    evidence = {"flight": "r1", "reason": asked.told, "trigger": asked.cause()}
    office.world.ledger.append(
        f"model/{MODEL}", "requested", key="requested/r1", at=ASKED, actor="retrain", evidence=evidence
    )
    with office.listening():
        assert office.ask() is None
        assert office.call("list")[1]["approvals"][0]["authors"] == [ANA[0]]
        assert office.decide("approve", ANA)[0] == 403
        assert office.decide("approve", BOB)[0] == 200


def test_an_author_may_withdraw(promoted: Office) -> None:
    promote(promoted, ANA)
    with promoted.listening():
        promoted.ask()
        assert promoted.decide("reject", ANA, "my mistake")[0] == 200
    assert promoted.version.state == "refused"


@pytest.mark.parametrize("name", ["ana", "bob", "somebody", f"{ROLE}", "AIDACKCEVSQ6C2EXAMPLE"])
def test_a_session_is_its_role_whatever_it_calls_itself(promoted: Office, name: str) -> None:
    """Whoever may assume the role that promoted may not approve: not under another session name either."""
    promote(promoted, session("ci"))
    with promoted.listening():
        promoted.ask()
        assert promoted.decide("approve", session(name))[0] == 403
        # nor does a role of that name in its place, made anew, become the author: it has another id
        assert promoted.decide("approve", session("ci", unique="AROAOTHEROTHEROTHERX"))[0] == 200


def test_a_session_named_as_the_author_is_not_the_author(promoted: Office) -> None:
    promote(promoted, ANA)
    with promoted.listening():
        promoted.ask()
        assert promoted.decide("approve", session("ana"))[0] == 200


def test_everybody_who_promoted_a_version_is_its_author(promoted: Office) -> None:
    promote(promoted, ANA)
    with promoted.listening():
        promoted.ask()
        promote(promoted, BOB)
        assert {promoted.decide("approve", who)[0] for who in (ANA, BOB)} == {403}
        assert promoted.decide("approve", session("carla"))[0] == 200


def test_a_promotion_that_nobody_signed_for_is_refused(promoted: Office) -> None:
    """Who starts the workflow itself could name any author: such a version has none."""
    message = {"model": MODEL, "run": "dev-r0", "as_of": ASK["as_of"]}
    register_handler(message, None)
    with pytest.raises(AuthorUnknown, match="over the API"):
        promoted.ask()


def test_nor_is_one_whose_files_do_not_say_that_it_is_a_promotion(waiting: Office) -> None:
    execution = f"arn:aws:states:eu-west-1:{waiting.world.account.id}:execution:perennial-dev-promotion:by-hand"
    with pytest.raises(AuthorUnknown, match="over the API"):
        waiting.ask(execution=execution, token="second")


@pytest.mark.parametrize(
    "body", [{"model": MODEL}, {"model": "../x", "run": "r"}, {"model": MODEL, "run": "../r"}, "x"]
)
def test_a_bad_promotion_is_a_400(promoted: Office, body: Any) -> None:
    assert promoted.call("promote", ANA, body=body)[0] == 400


def test_an_unsigned_promotion_is_a_403(promoted: Office) -> None:
    assert promoted.call("promote", None, body={"model": MODEL, "run": "dev-r0"})[0] == 403


def test_other_routes_are_a_404(office: Office) -> None:
    assert office.call("list", path="/approvals/x")[0] == 404


# ---- the end of the wait


def test_what_nobody_decides_expires_unapproved(waiting: Office) -> None:
    assert waiting.expire() is False
    assert waiting.version.state == "unapproved"
    review = waiting.version.review
    assert review is not None
    assert (review.verdict, review.by, review.reason) == ("expired", None, "approval timed out")
    assert waiting.facts() == ["registered", "approval requested", "approval expired"]
    assert waiting.call("list")[1] == {"approvals": []}
    status, told = waiting.decide("approve")
    assert (status, "timed out" in told["error"]) == (409, True)
    assert waiting.expire() is False
    assert waiting.facts().count("approval expired") == 1


def test_a_decision_after_the_time_comes_too_late_even_before_the_execution_knows(waiting: Office) -> None:
    late = ASKED + timedelta(days=7)
    assert waiting.call("list", at=late)[1] == {"approvals": []}
    assert waiting.decide("approve", at=late)[0] == 409
    assert waiting.decide("approve", at=late - timedelta(seconds=1))[0] == 200


def test_a_decision_just_before_the_end_counts_although_the_token_is_gone(waiting: Office) -> None:
    waiting.over.add(ASK["token"])
    assert waiting.decide("approve")[1]["resumed"] is False
    assert waiting.expire() is True
    assert waiting.facts().count("approval expired") == 0


def test_an_expired_version_can_be_asked_for_again(waiting: Office) -> None:
    waiting.expire()
    execution = ASK["execution"] + "-again"
    assert waiting.ask(execution=execution, token="second", as_of="2013-05-01T00:00:00Z") is None
    assert waiting.decide("approve", at=datetime.fromisoformat("2013-05-02T00:00:00Z"))[0] == 200
    assert waiting.told == [("second", {"approved": True})]


def test_the_end_of_one_wait_is_not_that_of_another(waiting: Office) -> None:
    """An execution that was stopped never says that its time is over; another one may ask then."""
    over = ASKED + timedelta(days=7)
    assert waiting.ask(execution=ASK["execution"] + "-again", token="second", as_of=over.isoformat()) is None
    assert waiting.expire() is False
    assert waiting.decide("approve", at=over)[0] == 200
    assert waiting.told == [("second", {"approved": True})]
    assert waiting.expire() is True


def test_what_a_person_has_to_put_right_is_502_in_the_protocols_form(
    waiting: Office, caplog: pytest.LogCaptureFixture
) -> None:
    """API Gateway would answer 500 and nothing but "Internal Server Error"."""
    events = translate.client("dynamodb").meta.events
    denied = json.dumps({"__type": "AccessDeniedException", "message": "no policy allows it"}).encode()

    def refuse(request: Any, **_: Any) -> AWSResponse:
        return Answered(request.url, 400, denied)

    events.register_first("before-send.dynamodb.GetItem", refuse, unique_id="refuse")
    try:
        status, told = waiting.decide("approve")
    finally:
        events.unregister("before-send.dynamodb.GetItem", unique_id="refuse")
    assert (status, list(told)) == (502, ["error"])
    assert told["error"].startswith("AccessRefused: ")
    assert told["error"] in [getattr(record, "cause", None) for record in caplog.records]


def test_a_ledger_with_a_hole_is_502_and_the_decision_is_finished_once_it_is_whole(waiting: Office) -> None:
    hole = object_key(f"model/{MODEL}", 2)
    record = waiting.world.ledger.objects.get(hole)
    waiting.world.client("s3").delete_object(Bucket=waiting.world.ledger.objects.bucket, Key=hole)
    status, told = waiting.decide("approve")
    assert (status, told["error"].startswith("LedgerBroken: ")) == (502, True)
    waiting.world.ledger.objects.put(hole, record)
    assert waiting.decide("approve")[0] == 200
    assert waiting.facts() == ["registered", "approval requested", "approved"]


# ---- crashes


@pytest.mark.parametrize("decision", ["approve", "reject"])
@pytest.mark.parametrize("number", [3, 6, 9])
def test_a_decision_that_died_is_finished_by_repeating_it(waiting: Office, decision: str, number: int) -> None:
    with crash_at(number, "after-call"):
        waiting.decide(decision)
    status, told = waiting.decide(decision)
    assert (status, told["state"]) == (200, {"approve": "approved", "reject": "rejected"}[decision])
    assert waiting.version.state == ("registered" if decision == "approve" else "refused")
    assert waiting.facts()[2:] == ["approved" if decision == "approve" else "rejected"]
    assert waiting.told == [(ASK["token"], {"approved": decision == "approve"})]


def test_a_decision_that_died_is_finished_by_the_end_of_the_wait(waiting: Office) -> None:
    with crash_at(1, "after-call", "dynamodb.PutItem"):
        waiting.decide("approve")
    assert waiting.expire() is True
    assert waiting.version.state == "registered"
    assert waiting.facts()[2:] == ["approved"]


def test_tokens_lie_in_their_own_table(waiting: Office) -> None:
    found = Approvals(Items("perennial-dev-approvals")).find(MODEL, 1)
    assert found is not None
    assert found.token == ASK["token"]
    scanned = waiting.world.client("dynamodb").scan(TableName=waiting.world.registry.table)["Items"]
    assert ASK["token"] not in str(scanned)


JSON_SUITE = Path(__file__).resolve().parents[3] / "shared" / "corpora" / "json-test-suite" / "test_parsing"


@pytest.mark.skipif(not JSON_SUITE.is_dir(), reason="../shared/corpora/json-test-suite is not here")
def test_what_is_no_json_decides_nothing(waiting: Office) -> None:
    """Neither does what is JSON without being a decision: all of the suite is refused."""
    for path in sorted(JSON_SUITE.glob("*.json")):
        body = path.read_bytes().decode("utf-8", "replace") or " "
        for name, where in (("decide", f"/approvals/{MODEL}/1"), ("promote", "/promotions")):
            status, told = waiting.call(name, path=where, body=body)
            assert (status, list(told)) == (413 if len(body) > MAX_BODY else 400, ["error"]), path.name
    assert waiting.version.state == "unapproved"
