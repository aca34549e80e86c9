"""Small templates by hand, provisioned on a running cloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from infra.local.assembly import Stack
from infra.local.context import Cloud
from infra.local.provision import Provisioner, ProvisionError
from tests.local import made

Changes = dict[str, str]
Told = Callable[[int], list[dict[str, Any]]]


class Account:
    """One provisioner; `bring` takes a stack to its resources and says what was done."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.provisioner = Provisioner(cloud)
        self.stack = f"s{uuid4().hex[:8]}"

    def bring(self, resources: dict[str, Any], outputs: dict[str, Any] | None = None, stack: str = "") -> Changes:
        name = self.stack + stack
        template = {"Resources": resources, "Outputs": outputs or {}}
        return self.provisioner.provision([Stack(name, template)])[name]

    def ref(self, logical_id: str, stack: str = "") -> str:
        return self.provisioner.stacks[self.stack + stack].resources[logical_id].made.ref


@pytest.fixture
def account(cloud: Cloud) -> Iterator[Account]:
    yield Account(cloud)


def parameter(name: str, value: Any, **attributes: Any) -> dict[str, Any]:
    properties = {"Name": name, "Type": "String", "Value": value}
    return {"Type": "AWS::SSM::Parameter", "Properties": properties, **attributes}


def queue(**properties: Any) -> dict[str, Any]:
    return {"Type": "AWS::SQS::Queue", "Properties": properties}


def exists(cloud: Cloud, name: str) -> bool:
    return bool(cloud.client("ssm").get_parameters(Names=[name])["Parameters"])


def value(cloud: Cloud, name: str) -> str:
    found: str = cloud.client("ssm").get_parameter(Name=name)["Parameter"]["Value"]
    return found


def test_a_stack_is_made_in_order_with_outputs(account: Account) -> None:
    name = f"/{account.stack}/p"
    done = account.bring(
        {"P": parameter(name, {"Fn::GetAtt": ["Q", "Arn"]}), "Q": queue(VisibilityTimeout="90")},
        {"Out": {"Value": {"Ref": "Q"}, "Export": {"Name": f"{account.stack}:Q"}}},
    )
    state = account.provisioner.stacks[account.stack]
    url = account.ref("Q")
    assert done == {"Q": "created", "P": "created"}
    assert list(state.resources) == ["Q", "P"]
    assert state.outputs == {"Out": url}
    assert state.exports == {f"{account.stack}:Q": url}
    attributes = account.cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["VisibilityTimeout"] == "90"
    assert value(account.cloud, name) == attributes["QueueArn"]


def test_generated_names_are_those_of_cloudformation_and_the_same_every_time(account: Account, cloud: Cloud) -> None:
    account.bring({"DataBucket": {"Type": "AWS::S3::Bucket"}, "Work": queue()})
    bucket, url = account.ref("DataBucket"), account.ref("Work")
    assert bucket.startswith(f"{account.stack}-databucket-")
    assert bucket == bucket.lower()
    assert len(bucket) <= 63
    assert url.rpartition("/")[2].startswith(f"{account.stack}-Work-")
    again = Provisioner(cloud)
    assert again.place(account.stack, "DataBucket", fresh=True).name(63, lower=True) == bucket


def test_an_unchanged_template_touches_nothing(account: Account) -> None:
    name = f"/{account.stack}/p"
    account.bring({"P": parameter(name, "1")})
    account.cloud.client("ssm").put_parameter(Name=name, Value="set at run time", Overwrite=True)
    assert account.bring({"P": parameter(name, "1")}) == {}
    assert value(account.cloud, name) == "set at run time"


def test_a_changed_property_updates_its_resource_and_those_that_show_it(account: Account) -> None:
    a, b, c = (f"/{account.stack}/{name}" for name in "abc")
    follow = {"Fn::GetAtt": ["A", "Value"]}
    account.bring({"A": parameter(a, "1"), "B": parameter(b, follow), "C": parameter(c, {"Ref": "A"})})
    done = account.bring({"A": parameter(a, "2"), "B": parameter(b, follow), "C": parameter(c, {"Ref": "A"})})
    assert done == {"A": "updated", "B": "updated"}
    assert value(account.cloud, b) == "2"


def test_what_leaves_the_template_is_deleted_unless_retained(account: Account) -> None:
    gone, kept, stays = (f"/{account.stack}/{name}" for name in ("gone", "kept", "stays"))
    retained = parameter(kept, "1", DeletionPolicy="Retain")
    account.bring({"Gone": parameter(gone, "1"), "Kept": retained, "Stays": parameter(stays, "1")})
    done = account.bring({"Stays": parameter(stays, "1")})
    assert done == {"Gone": "deleted", "Kept": "retained"}
    assert [exists(account.cloud, name) for name in (gone, kept, stays)] == [False, True, True]


def test_a_replacement_is_made_before_the_old_one_goes(account: Account) -> None:
    # given a parameter whose name decides its identity, and one that shows it
    old, new, shows = (f"/{account.stack}/{name}" for name in ("old", "new", "shows"))
    account.bring({"P": parameter(old, "1"), "S": parameter(shows, {"Ref": "P"})})
    # when the name changes
    done = account.bring({"P": parameter(new, "1"), "S": parameter(shows, {"Ref": "P"})})
    # then the new one is there, what shows it follows, and the old one is gone
    assert done == {"P": "replaced", "S": "updated"}
    assert value(account.cloud, shows) == new
    assert [exists(account.cloud, name) for name in (old, new)] == [False, True]


def test_a_replaced_resource_is_kept_when_its_policy_says_so(account: Account) -> None:
    old, new = f"/{account.stack}/old", f"/{account.stack}/new"
    account.bring({"P": parameter(old, "1", UpdateReplacePolicy="Retain")})
    done = account.bring({"P": parameter(new, "1", UpdateReplacePolicy="Retain")})
    assert done == {"P": "replaced, the old one retained"}
    assert exists(account.cloud, old)


def test_a_replacement_of_a_generated_name_has_a_new_name(account: Account) -> None:
    table: dict[str, Any] = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    }
    account.bring({"T": {"Type": "AWS::DynamoDB::Table", "Properties": table}})
    before = account.ref("T")
    other = json.loads(json.dumps(table).replace("pk", "key"))
    assert account.bring({"T": {"Type": "AWS::DynamoDB::Table", "Properties": other}}) == {"T": "replaced"}
    assert account.ref("T") != before
    assert before not in account.cloud.client("dynamodb").list_tables()["TableNames"]


def test_a_custom_named_resource_is_not_replaced(account: Account) -> None:
    named = {"QueueName": f"{account.stack}.fifo", "FifoQueue": True}
    account.bring({"Q": queue(**named)})
    with pytest.raises(ProvisionError, match="custom-named resource requires replacing"):
        account.bring({"Q": queue(QueueName=f"{account.stack}.fifo", FifoQueue=False)})


def test_a_failed_creation_takes_everything_back_and_names_the_resource(account: Account) -> None:
    first, second = f"/{account.stack}/first", f"/{account.stack}/second"
    account.cloud.client("ssm").put_parameter(Name=second, Value="somebody's", Type="String")
    with pytest.raises(ProvisionError, match=rf"{account.stack}/B \(AWS::SSM::Parameter\): .*ParameterAlreadyExists"):
        account.bring({"A": parameter(first, "1"), "B": parameter(second, "1", DependsOn="A")})
    assert not exists(account.cloud, first)
    assert value(account.cloud, second) == "somebody's"
    account.cloud.client("ssm").delete_parameter(Name=second)
    assert account.bring({"A": parameter(first, "1"), "B": parameter(second, "1")}) == {"A": "created", "B": "created"}


def test_a_failed_update_puts_back_what_it_had_changed(account: Account) -> None:
    name, taken = f"/{account.stack}/p", f"/{account.stack}/taken"
    account.bring({"P": parameter(name, "1")})
    account.cloud.client("ssm").put_parameter(Name=taken, Value="x", Type="String")
    with pytest.raises(ProvisionError, match="/T "):
        account.bring({"P": parameter(name, "2"), "T": parameter(taken, "1", DependsOn="P")})
    assert value(account.cloud, name) == "1"
    assert account.bring({"P": parameter(name, "1")}) == {}


def test_a_resource_that_fails_half_made_leaves_nothing(account: Account) -> None:
    name = f"{account.stack}-half"
    bad = {"BucketName": name, "LifecycleConfiguration": {"Rules": [{"Status": "Perhaps", "ExpirationInDays": 1}]}}
    with pytest.raises(ProvisionError, match=r"/B \(AWS::S3::Bucket\): .*'Perhaps' is none of Enabled, Disabled"):
        account.bring({"B": {"Type": "AWS::S3::Bucket", "Properties": bad}})
    with pytest.raises(ClientError):
        account.cloud.client("s3").head_bucket(Bucket=name)


@pytest.mark.parametrize(
    ("resource", "words"),
    [
        ({"Type": "Custom::Thing"}, "R: type Custom::Thing is not understood"),
        ({"Type": "AWS::Lambda::Url"}, "R: type AWS::Lambda::Url is not understood"),
        (queue(Colour="red"), r"R \(AWS::SQS::Queue\): property Colour is not understood"),
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"VersioningConfiguration": {"Status": "Enabled", "When": 1}}},
            r"R \(AWS::S3::Bucket\): property VersioningConfiguration.When is not understood",
        ),
        (
            {"Type": "AWS::S3::Bucket", "Properties": {"NotificationConfiguration": {"LambdaConfigurations": []}}},
            "property NotificationConfiguration.LambdaConfigurations is not understood",
        ),
        (
            {"Type": "AWS::Logs::LogGroup", "Properties": {"RetentionInDays": "soon"}},
            "retentionInDays: integer wanted, not 'soon'",
        ),
        ({"Type": "AWS::S3::BucketPolicy", "Properties": {"Bucket": "b"}}, "property 'PolicyDocument' is missing"),
    ],
)
def test_what_is_not_understood_is_refused_by_stack_resource_and_property(
    account: Account, resource: dict[str, Any], words: str
) -> None:
    with pytest.raises(ProvisionError, match=f"{account.stack}/{words}|{words}") as refused:
        account.bring({"R": resource})
    assert str(refused.value).startswith(f"{account.stack}/R")


def test_an_attribute_that_does_not_exist_is_refused(account: Account) -> None:
    with pytest.raises(ProvisionError, match=r"Fn::GetAtt Q.Colour: AWS::SQS::Queue has no such attribute"):
        account.bring({"Q": queue(), "P": parameter(f"/{account.stack}/p", {"Fn::GetAtt": ["Q", "Colour"]})})


def test_stacks_share_exports_and_an_import_holds_them(account: Account) -> None:
    export = f"{account.stack}:name"
    mine, theirs = f"/{account.stack}/mine", f"/{account.stack}/theirs"
    resources = {"P": parameter(mine, "1")}

    def output(shown: Any) -> dict[str, Any]:
        return {"Out": {"Value": shown, "Export": {"Name": export}}}

    account.bring(resources, output({"Ref": "P"}))
    account.bring({"T": parameter(theirs, {"Fn::ImportValue": export})}, stack="-app")
    assert value(account.cloud, theirs) == mine
    with pytest.raises(
        ProvisionError, match=f"Export {export} cannot be deleted as it is in use by {account.stack}-app"
    ):
        account.bring(resources)
    with pytest.raises(ProvisionError, match="cannot be updated"):
        account.bring(resources, output("else"))
    account.bring({}, stack="-app")
    assert account.bring(resources) == {}


def test_a_bucket_with_objects_stays_when_it_leaves_the_template(account: Account) -> None:
    account.bring({"B": {"Type": "AWS::S3::Bucket"}})
    bucket = account.ref("B")
    account.cloud.client("s3").put_object(Bucket=bucket, Key="k", Body=b"x")
    done = account.bring({})
    assert "BucketNotEmpty" in done["B"]
    account.cloud.client("s3").head_bucket(Bucket=bucket)


def predictor(account: Account, description: str) -> dict[str, Any]:
    """A function, a version and the alias `live` with fixed logical ids, as the serving stack has them."""
    trust = {
        "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": "lambda.amazonaws.com"}}]
    }
    function = {
        "FunctionName": f"{account.stack}-predict",
        "Code": {"ZipFile": "def handler(event, context):\n    return 1\n"},
        "Handler": "index.handler",
        "Runtime": "python3.13",
        "Role": {"Fn::GetAtt": ["Role", "Arn"]},
        "Description": description,
    }
    alias = {"FunctionName": {"Ref": "F"}, "Name": "live", "FunctionVersion": {"Fn::GetAtt": ["V", "Version"]}}
    return {
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trust}},
        "F": {"Type": "AWS::Lambda::Function", "Properties": function},
        "V": {"Type": "AWS::Lambda::Version", "Properties": {"FunctionName": {"Ref": "F"}}},
        "A": {"Type": "AWS::Lambda::Alias", "Properties": alias},
        "P": {
            "Type": "AWS::Lambda::Permission",
            "Properties": {
                "FunctionName": {"Ref": "A"},
                "Action": "lambda:InvokeFunction",
                "Principal": "apigateway.amazonaws.com",
            },
        },
    }


def test_alias_weights_set_at_run_time_survive_a_redeploy(account: Account) -> None:
    # given an alias that the running system has moved to a canary
    function = f"{account.stack}-predict"
    account.bring(predictor(account, "first"))
    lambda_ = account.cloud.client("lambda")
    lambda_.update_function_configuration(FunctionName=function, Timeout=7)
    lambda_.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 0.1})
    canary = lambda_.publish_version(FunctionName=function)["Version"]
    lambda_.get_waiter("function_active_v2").wait(
        FunctionName=function, WaiterConfig={"Delay": 0.1, "MaxAttempts": 100}
    )
    weights = {"AdditionalVersionWeights": {canary: 0.1}}
    lambda_.update_alias(FunctionName=function, Name="live", RoutingConfig=weights)
    # when the same template is deployed again, and when another property of the function changes
    assert account.bring(predictor(account, "first")) == {}
    assert account.bring(predictor(account, "second")) == {"F": "updated"}
    # then the canary goes on, and what deploy changed in the function's own configuration stays too
    alias = lambda_.get_alias(FunctionName=function, Name="live")
    assert (alias["FunctionVersion"], alias["RoutingConfig"]) == ("1", weights)
    configuration = lambda_.get_function_configuration(FunctionName=function)
    assert (configuration["Description"], configuration["Timeout"]) == ("second", 7)


def test_a_stack_with_a_function_can_be_taken_away(account: Account) -> None:
    account.bring(predictor(account, "x"))
    assert set(account.bring({}).values()) == {"deleted"}
    with pytest.raises(account.cloud.client("lambda").exceptions.ResourceNotFoundException):
        account.cloud.client("lambda").get_function(FunctionName=f"{account.stack}-predict")


@pytest.fixture
def told(account: Account, cloud: Cloud) -> Iterator[Told]:
    """The events about the account's stack, once so many are there."""
    client, rule = cloud.client("events"), f"{account.stack}-told"
    stack = f"arn:aws:cloudformation:{cloud.region}:{cloud.account}:stack/{account.stack}/"
    pattern = {"source": ["aws.cloudformation"], "detail": {"stack-id": [{"prefix": stack}]}}
    arn = client.put_rule(Name=rule, EventPattern=json.dumps(pattern))["RuleArn"]
    target = made.queue(cloud, source=arn)
    client.put_targets(Rule=rule, Targets=[{"Id": "queue", "Arn": target}])

    def events(count: int) -> list[dict[str, Any]]:
        found = [json.loads(message["Body"]) for message in made.received(cloud, target, count)]
        assert len(found) == count
        return found

    yield events
    client.remove_targets(Rule=rule, Ids=["queue"])
    client.delete_rule(Name=rule)


def statuses(events: list[dict[str, Any]]) -> set[str]:
    return {event["detail"]["status-details"]["status"] for event in events}


def test_the_default_bus_is_told_of_a_creation(account: Account, told: Told) -> None:
    account.bring({"Q": queue()})
    events = told(2)
    assert statuses(events) == {"CREATE_IN_PROGRESS", "CREATE_COMPLETE"}
    assert len({event["detail"]["client-request-token"] for event in events}) == 1
    for event in events:
        assert (event["source"], event["detail-type"]) == ("aws.cloudformation", "CloudFormation Stack Status Change")
        assert event["resources"] == [event["detail"]["stack-id"]]
        assert f":stack/{account.stack}/" in event["resources"][0]


def test_the_default_bus_is_told_of_an_update_and_of_nothing_when_there_is_none(account: Account, told: Told) -> None:
    name = f"/{account.stack}/p"
    account.bring({"P": parameter(name, "1")})
    account.bring({"P": parameter(name, "1")})
    account.bring({"P": parameter(name, "2")})
    assert statuses(told(5)) == {
        *("CREATE_IN_PROGRESS", "CREATE_COMPLETE"),
        *("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_COMPLETE"),
    }


def test_the_default_bus_is_told_why_a_stack_was_rolled_back(account: Account, told: Told) -> None:
    cloud, taken = account.cloud, f"/{account.stack}/taken"
    cloud.client("ssm").put_parameter(Name=taken, Value="x", Type="String")
    with pytest.raises(ProvisionError):
        account.bring({"T": parameter(taken, "1")})
    events = told(3)
    assert statuses(events) == {"CREATE_IN_PROGRESS", "ROLLBACK_IN_PROGRESS", "ROLLBACK_COMPLETE"}
    assert any("ParameterAlreadyExists" in event["detail"]["status-details"]["status-reason"] for event in events)
    account.bring({"Q": queue()})
    with pytest.raises(ProvisionError):
        account.bring({"Q": queue(), "T": parameter(taken, "1")})
    assert statuses(told(6)) == {
        *("CREATE_IN_PROGRESS", "CREATE_COMPLETE", "UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_IN_PROGRESS"),
        *("UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
    }
