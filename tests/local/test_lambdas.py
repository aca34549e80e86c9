"""Lambda's control plane and its execution environments, seen through boto3."""

from __future__ import annotations

import base64
import json
import time
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import pytest
import requests
from botocore.exceptions import ClientError

from infra.local.context import Cloud, ImageSource
from tests.local.small_functions import archive, create, invoke, log_lines, settled, unique, until

ECHO = "def handle(event, context):\n    return event\n"
VERSIONED = (
    "import os\ndef handle(event, context):\n    return [{marker!r}, os.environ['AWS_LAMBDA_FUNCTION_VERSION']]\n"
)


def code(marker: str) -> bytes:
    return archive({"module.py": VERSIONED.format(marker=marker)})


def error(call: Any, **members: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as caught:
        call(**members)
    response = caught.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


class TestExecution:
    def test_an_event_goes_in_and_the_answer_comes_out(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        reply, answer = invoke(cloud, name, {"rows": [1, None, "ü"]})
        assert answer == {"rows": [1, None, "ü"]}
        assert reply["StatusCode"] == 200
        assert reply["ExecutedVersion"] == "$LATEST"
        assert "FunctionError" not in reply

    def test_the_environment_is_the_templates_and_nothing_of_the_developers(
        self, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("DEVELOPERS_SECRET", "1")
        name = create(
            cloud,
            "import os\ndef handle(event, context):\n    return dict(os.environ)\n",
            Environment={"Variables": {"TABLE": "registry"}},
        )
        _, variables = invoke(cloud, name)
        assert variables["TABLE"] == "registry"
        assert variables["AWS_LAMBDA_FUNCTION_NAME"] == name
        assert variables["AWS_LAMBDA_FUNCTION_MEMORY_SIZE"] == "256"
        assert variables["AWS_REGION"] == cloud.region
        assert variables["TZ"] == ":UTC"
        assert variables["_HANDLER"] == "module.handle"
        assert variables["AWS_LAMBDA_LOG_GROUP_NAME"] == f"/aws/lambda/{name}"
        assert variables["AWS_LAMBDA_LOG_STREAM_NAME"].split("]")[0].endswith("[$LATEST")
        unexpected = {key for key in variables if not key.startswith(("AWS_", "_", "LAMBDA_"))}
        assert unexpected <= {"TABLE", "PATH", "LD_LIBRARY_PATH", "PYTHONPATH", "LANG", "LC_CTYPE", "TZ", "TMPDIR"}

    def test_neither_the_checkout_nor_unlisted_packages_can_be_imported(self, cloud: Cloud) -> None:
        name = create(
            cloud,
            "import importlib.util\ndef handle(event, context):\n"
            "    return {each: importlib.util.find_spec(each) is not None for each in event}\n",
        )
        _, found = invoke(cloud, name, ["infra", "perennial", "functions", "moto", "pydantic", "boto3", "urllib3"])
        assert [each for each, importable in found.items() if importable] == ["boto3", "urllib3"]

    def test_it_signs_as_its_role(self, cloud: Cloud) -> None:
        name = create(
            cloud,
            "import boto3\ndef handle(event, context):\n    return boto3.client('sts').get_caller_identity()['Arn']\n",
            Timeout=30,
        )
        _, arn = invoke(cloud, name)
        assert arn == f"arn:aws:sts::{cloud.account}:assumed-role/small/{name}"

    def test_an_exception_is_an_unhandled_function_error_and_the_environment_lives_on(self, cloud: Cloud) -> None:
        name = create(
            cloud,
            "import os\nclass BadRow(Exception): pass\ndef handle(event, context):\n"
            "    if event: raise BadRow('row 7')\n    return os.getpid()\n",
        )
        _, before = invoke(cloud, name)
        reply, failure = invoke(cloud, name, {"fail": True})
        _, after = invoke(cloud, name)
        assert reply["StatusCode"] == 200
        assert reply["FunctionError"] == "Unhandled"
        assert (failure["errorType"], failure["errorMessage"]) == ("BadRow", "row 7")
        assert failure["stackTrace"]
        assert before == after

    def test_requests_at_once_run_in_environments_of_their_own(self, cloud: Cloud) -> None:
        from concurrent.futures import ThreadPoolExecutor

        body = "import os, time\ndef handle(event, context):\n    time.sleep(event)\n    return os.getpid()\n"
        name = create(cloud, body)
        with ThreadPoolExecutor(3) as threads:
            together = list(threads.map(lambda _: invoke(cloud, name, 0.7)[1], range(3)))
        one_by_one = {invoke(cloud, name, 0)[1] for _ in range(4)}
        assert len(set(together)) == 3
        assert len(one_by_one) == 1
        assert one_by_one <= set(together)

    def test_the_context_names_what_was_invoked(self, cloud: Cloud) -> None:
        body = (
            "def handle(event, context):\n"
            "    return [context.function_version, context.invoked_function_arn,"
            " context.get_remaining_time_in_millis(), context.aws_request_id]\n"
        )
        name = create(cloud, body, Publish=True, Timeout=7)
        settled(cloud, name, "1")
        cloud.client("lambda").create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        reply, (version, arn, left, request) = invoke(cloud, name, Qualifier="live")
        assert version == "1"
        assert arn.endswith(f":function:{name}:live")
        assert 5000 < left <= 7000
        assert reply["ResponseMetadata"]["RequestId"] == request

    def test_layers_are_under_opt_and_later_ones_win(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        arns = []
        for number in (1, 2):
            files = {
                "python/shared.py": f"WHICH = {number}\n",
                f"python/only{number}.py": "",
                f"data/{number}.txt": "x",
            }
            layer = client.publish_layer_version(LayerName=unique("layer"), Content={"ZipFile": archive(files)})
            arns.append(layer["LayerVersionArn"])
        body = "import shared, only1, only2\ndef handle(event, context):\n    return shared.WHICH\n"
        name = create(cloud, body, Layers=arns)
        assert invoke(cloud, name)[1] == 2

    def test_a_layer_of_locked_requirements_brings_exactly_those_packages(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        listed = "pyyaml==6 \\\n    --hash=sha256:00\n"
        layer = client.publish_layer_version(
            LayerName=unique("layer"), Content={"ZipFile": archive({"requirements.txt": listed})}
        )
        body = (
            "import yaml\ndef handle(event, context):\n"
            "    try:\n        import numpy\n    except ImportError:\n        return yaml.safe_load('a: 1')\n"
        )
        name = create(cloud, body, Layers=[layer["LayerVersionArn"]])
        assert invoke(cloud, name)[1] == {"a": 1}

    def test_without_a_payload_the_event_is_empty(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        reply = cloud.client("lambda").invoke(FunctionName=name)
        assert json.loads(reply["Payload"].read()) == {}

    def test_a_payload_that_is_no_json_is_refused(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        refused = error(cloud.client("lambda").invoke, FunctionName=name, Payload=b"{not json")
        assert refused == ("InvalidRequestContentException", 400)

    def test_a_dry_run_runs_nothing(self, cloud: Cloud) -> None:
        name = create(cloud, "raise RuntimeError('imported')")
        assert cloud.client("lambda").invoke(FunctionName=name, InvocationType="DryRun")["StatusCode"] == 204

    def test_an_image_runs_what_its_dockerfile_says(self, cloud: Cloud, tmp_path: Path) -> None:
        (tmp_path / "src").mkdir()
        (tmp_path / "src" / "scored.py").write_text(
            "import os, numpy\ndef handle(event, context):\n"
            "    content = open(os.environ['WHERE'] + '/x.txt').read()\n"
            "    return [os.environ['GREETING'], os.getcwd(), os.environ['MODE'], content]\n"
        )
        (tmp_path / "x.txt").write_text("data")
        (tmp_path / "Dockerfile").write_text(
            "FROM python:3.13\nRUN pip install numpy\nENV GREETING=hello WHERE=/app/data PYTHONPATH=/app\n"
            'WORKDIR /app\nCOPY src /app\nCOPY x.txt data/\nCMD ["python", "-m", "somewhere.else"]\n'
        )
        uri = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/assets:{unique()}"
        cloud.images[uri] = ImageSource(tmp_path)
        name = unique()
        cloud.client("lambda").create_function(
            FunctionName=name,
            PackageType="Image",
            Code={"ImageUri": uri},
            Role="arn:aws:iam::123456789012:role/small",
            Timeout=30,
            MemorySize=512,
            Environment={"Variables": {"MODE": "test"}},
            ImageConfig={"EntryPoint": ["python", "-m", "awslambdaric"], "Command": ["scored.handle"]},
        )
        settled(cloud, name)
        _, (greeting, directory, mode, content) = invoke(cloud, name)
        assert (greeting, mode, content) == ("hello", "test", "data")
        assert directory.endswith("/app")

    @pytest.mark.parametrize(
        "line", ["ADD x y", "COPY --from=other a b", "CMD python -m x", "COPY missing.txt /app/", "HEALTHCHECK NONE"]
    )
    def test_an_image_with_an_instruction_that_is_not_imitated_is_refused(
        self, cloud: Cloud, tmp_path: Path, line: str
    ) -> None:
        (tmp_path / "Dockerfile").write_text(f"FROM python:3.13\n{line}\n")
        uri = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/assets:{unique()}"
        cloud.images[uri] = ImageSource(tmp_path)
        refused = error(
            cloud.client("lambda").create_function,
            FunctionName=unique(),
            PackageType="Image",
            Code={"ImageUri": uri},
            Role="arn:aws:iam::123456789012:role/small",
        )
        assert refused == ("InvalidParameterValueException", 400)


class TestLifecycle:
    def test_a_new_function_is_pending_and_cannot_be_invoked_yet(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, ECHO, wait=False)
        assert client.get_function_configuration(FunctionName=name)["State"] == "Pending"
        assert error(client.invoke, FunctionName=name) == ("ResourceConflictException", 409)
        settled(cloud, name)
        assert invoke(cloud, name)[1] == {}

    def test_an_update_takes_time_and_a_second_one_is_refused_meanwhile(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, VERSIONED.format(marker="old"))
        updated = client.update_function_code(FunctionName=name, ZipFile=code("new"))
        assert (updated["State"], updated["LastUpdateStatus"]) == ("Active", "InProgress")
        for again, members in (
            (client.update_function_code, {"ZipFile": code("third")}),
            (client.update_function_configuration, {"Timeout": 9}),
            (client.publish_version, {}),
        ):
            assert error(again, FunctionName=name, **members) == ("ResourceConflictException", 409)
        # the former code serves until the update is done
        assert invoke(cloud, name)[1] == ["old", "$LATEST"]
        settled(cloud, name)
        assert invoke(cloud, name)[1] == ["new", "$LATEST"]

    def test_a_published_version_never_changes(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, VERSIONED.format(marker="one"), Environment={"Variables": {"AA": "1"}})
        first = client.publish_version(FunctionName=name)
        assert (first["Version"], first["State"]) == ("1", "Pending")
        assert error(client.invoke, FunctionName=name, Qualifier="1") == ("ResourceConflictException", 409)
        settled(cloud, name, "1")
        client.update_function_code(FunctionName=name, ZipFile=code("two"))
        settled(cloud, name)
        client.update_function_configuration(FunctionName=name, Environment={"Variables": {"AA": "2"}})
        settled(cloud, name)
        assert invoke(cloud, name, Qualifier="1")[1] == ["one", "1"]
        old, new = (client.get_function_configuration(FunctionName=name, Qualifier=q) for q in ("1", "$LATEST"))
        assert old["Environment"]["Variables"] == {"AA": "1"}
        assert new["Environment"]["Variables"] == {"AA": "2"}
        assert old["CodeSha256"] == first["CodeSha256"] != new["CodeSha256"]

    def test_publishing_what_has_not_changed_gives_the_same_version(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, ECHO)
        versions = [client.publish_version(FunctionName=name)["Version"] for _ in range(2)]
        client.update_function_code(FunctionName=name, ZipFile=code("other"))
        settled(cloud, name)
        versions.append(client.publish_version(FunctionName=name)["Version"])
        assert versions == ["1", "1", "2"]
        listed = client.list_versions_by_function(FunctionName=name)["Versions"]
        assert [each["Version"] for each in listed] == ["$LATEST", "1", "2"]

    def test_update_and_publish_in_one_call(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, ECHO)
        published = client.update_function_code(FunctionName=name, ZipFile=code("bundle"), Publish=True)
        assert published["Version"] == "1"
        assert published["FunctionArn"].endswith(f"{name}:1")
        settled(cloud, name, "1")
        assert invoke(cloud, name, Qualifier="1")[1] == ["bundle", "1"]

    def test_a_stale_revision_is_refused(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, ECHO)
        revision = client.get_function_configuration(FunctionName=name)["RevisionId"]
        client.update_function_code(FunctionName=name, ZipFile=code("a"), RevisionId=revision)
        settled(cloud, name)
        refused = error(client.update_function_code, FunctionName=name, ZipFile=code("b"), RevisionId=revision)
        assert refused == ("PreconditionFailedException", 412)
        assert error(client.publish_version, FunctionName=name, CodeSha256="x")[0] == "InvalidParameterValueException"

    def test_a_dry_run_of_new_code_changes_nothing(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, ECHO)
        before = client.get_function_configuration(FunctionName=name)
        tried = client.update_function_code(FunctionName=name, ZipFile=code("a"), DryRun=True)
        after = client.get_function_configuration(FunctionName=name)
        assert tried["CodeSha256"] != before["CodeSha256"] == after["CodeSha256"]

    def test_code_comes_from_s3_and_can_be_downloaded_again(self, cloud: Cloud) -> None:
        bucket = unique("code")
        s3 = cloud.client("s3")
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": cloud.region})
        content = archive({"module.py": ECHO})
        s3.put_object(Bucket=bucket, Key="code.zip", Body=content)
        name = create(cloud, "", Code={"S3Bucket": bucket, "S3Key": "code.zip"})
        assert invoke(cloud, name, 5)[1] == 5
        location = cloud.client("lambda").get_function(FunctionName=name)["Code"]["Location"]
        assert requests.get(location, timeout=5).content == content
        missing = error(
            cloud.client("lambda").update_function_code, FunctionName=name, S3Bucket=bucket, S3Key="missing.zip"
        )
        assert missing == ("InvalidParameterValueException", 400)

    def test_a_version_is_kept_while_an_alias_points_to_it(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = create(cloud, ECHO, Publish=True)
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        assert error(client.delete_function, FunctionName=name, Qualifier="1") == ("ResourceConflictException", 409)
        client.update_function_configuration(FunctionName=name, Timeout=7)
        client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0.1})
        assert client.publish_version(FunctionName=name)["Version"] == "2"
        weights = {"AdditionalVersionWeights": {"1": 0.1}}
        client.update_alias(FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig=weights)
        assert error(client.delete_function, FunctionName=name, Qualifier="1") == ("ResourceConflictException", 409)
        client.delete_alias(FunctionName=name, Name="live")
        client.delete_function(FunctionName=name, Qualifier="1")
        assert error(client.invoke, FunctionName=name, Qualifier="1") == ("ResourceNotFoundException", 404)
        client.delete_function(FunctionName=name)
        assert error(client.get_function, FunctionName=name) == ("ResourceNotFoundException", 404)

    @pytest.mark.parametrize(
        ("members", "code_name"),
        [
            ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "InvalidParameterValueException"),
            ({"Environment": {"Variables": {"BIG": "x" * 4096}}}, "InvalidParameterValueException"),
            ({"MemorySize": 20_480}, "ValidationException"),
            ({"Timeout": 901}, "ValidationException"),
            ({"Layers": ["arn:aws:lambda:eu-west-1:123456789012:layer:none:1"]}, "InvalidParameterValueException"),
            ({"Code": {"ZipFile": b"no zip"}}, "InvalidParameterValueException"),
            ({"Code": {"ZipFile": archive({"../out.py": ""})}}, "InvalidParameterValueException"),
        ],
    )
    def test_settings_that_aws_refuses_are_refused(self, cloud: Cloud, members: dict[str, Any], code_name: str) -> None:
        defaults = {
            "Runtime": "python3.13",
            "Handler": "module.handle",
            "Role": "arn:aws:iam::123456789012:role/small",
            "Code": {"ZipFile": archive({"module.py": ECHO})},
        }
        refused = error(cloud.client("lambda").create_function, FunctionName=unique(), **(defaults | members))
        assert refused == (code_name, 400)

    def test_what_is_not_imitated_is_refused(self, cloud: Cloud) -> None:
        name = create(cloud, ECHO)
        refused = error(cloud.client("lambda").create_function_url_config, FunctionName=name, AuthType="AWS_IAM")
        assert refused[1] == 501


class TestAliases:
    def versions(self, cloud: Cloud) -> str:
        client = cloud.client("lambda")
        name = create(cloud, VERSIONED.format(marker="one"), Publish=True)
        client.update_function_code(FunctionName=name, ZipFile=code("two"), Publish=True)
        for number in ("1", "2"):
            settled(cloud, name, number)
        settled(cloud, name)
        return name

    def test_weights_are_really_drawn_and_the_executed_version_is_told(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = self.versions(cloud)
        routing = {"AdditionalVersionWeights": {"2": 0.3}}
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", RoutingConfig=routing)
        drawn: Counter[str] = Counter()
        for _ in range(200):
            reply, (_, ran) = invoke(cloud, name, Qualifier="live")
            assert reply["ExecutedVersion"] == ran
            drawn[ran] += 1
        # 60 ± 6.5 of 200: five standard deviations
        assert 27 <= drawn["2"] <= 93
        client.update_alias(
            FunctionName=name, Name="live", FunctionVersion="2", RoutingConfig={"AdditionalVersionWeights": {}}
        )
        assert {invoke(cloud, f"{name}:live")[0]["ExecutedVersion"] for _ in range(20)} == {"2"}

    def test_an_update_changes_only_what_it_names_and_checks_the_revision(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = self.versions(cloud)
        created = client.create_alias(FunctionName=name, Name="live", FunctionVersion="1", Description="serving")
        weighted = client.update_alias(
            FunctionName=name,
            Name="live",
            RoutingConfig={"AdditionalVersionWeights": {"2": 0.1}},
            RevisionId=created["RevisionId"],
        )
        assert weighted["FunctionVersion"] == "1"
        assert weighted["Description"] == "serving"
        stale = error(
            client.update_alias, FunctionName=name, Name="live", FunctionVersion="2", RevisionId=created["RevisionId"]
        )
        assert stale == ("PreconditionFailedException", 412)
        moved = client.update_alias(FunctionName=name, Name="live", Description="still weighted")
        assert moved["RoutingConfig"] == {"AdditionalVersionWeights": {"2": 0.1}}
        assert client.get_alias(FunctionName=name, Name="live")["RevisionId"] == moved["RevisionId"]

    @pytest.mark.parametrize(
        ("version", "weights", "code_name"),
        [
            ("9", {}, "ResourceNotFoundException"),
            ("1", {"9": 0.5}, "ResourceNotFoundException"),
            ("1", {"1": 0.5}, "InvalidParameterValueException"),
            ("$LATEST", {"1": 0.5}, "InvalidParameterValueException"),
            ("1", {"2": 1.5}, "ValidationException"),
        ],
    )
    def test_routing_that_aws_refuses_is_refused(
        self, cloud: Cloud, version: str, weights: dict[str, float], code_name: str
    ) -> None:
        name = self.versions(cloud)
        routing = {"AdditionalVersionWeights": weights}
        create_alias = cloud.client("lambda").create_alias
        refused = error(create_alias, FunctionName=name, Name="live", FunctionVersion=version, RoutingConfig=routing)
        assert refused[0] == code_name

    def test_permissions_belong_to_the_alias_they_are_given_for(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        name = self.versions(cloud)
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        source = "arn:aws:execute-api:eu-west-1:123456789012:abc/*/*/v2"
        given = {
            "StatementId": "api",
            "Action": "lambda:InvokeFunction",
            "Principal": "apigateway.amazonaws.com",
            "SourceArn": source,
        }
        client.add_permission(FunctionName=name, Qualifier="live", **given)
        statement = json.loads(client.get_policy(FunctionName=name, Qualifier="live")["Policy"])["Statement"][0]
        assert statement["Resource"].endswith(f"{name}:live")
        assert statement["Principal"] == {"Service": "apigateway.amazonaws.com"}
        assert statement["Condition"] == {"ArnLike": {"AWS:SourceArn": source}}
        assert error(client.get_policy, FunctionName=name) == ("ResourceNotFoundException", 404)
        again = error(client.add_permission, FunctionName=name, Qualifier="live", **given)
        assert again == ("ResourceConflictException", 409)
        client.remove_permission(FunctionName=name, Qualifier="live", StatementId="api")
        assert error(client.get_policy, FunctionName=name, Qualifier="live")[1] == 404


class TestLayers:
    def test_each_publication_is_a_new_version_and_numbers_are_not_used_again(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        layer, content = unique("layer"), {"ZipFile": archive({"python/a.py": ""})}
        first, second = (client.publish_layer_version(LayerName=layer, Content=content) for _ in range(2))
        client.delete_layer_version(LayerName=layer, VersionNumber=2)
        third = client.publish_layer_version(LayerName=layer, Content=content)
        assert [each["Version"] for each in (first, second, third)] == [1, 2, 3]
        listed = client.list_layer_versions(LayerName=layer)["LayerVersions"]
        assert [each["Version"] for each in listed] == [3, 1]
        found = client.get_layer_version_by_arn(Arn=first["LayerVersionArn"])
        assert found["Content"]["CodeSha256"] == first["Content"]["CodeSha256"]


class TestLogsAndMetrics:
    def test_lines_arrive_in_the_functions_log_group(self, cloud: Cloud) -> None:
        body = (
            "import logging, sys\nlogging.getLogger().setLevel('INFO')\ndef handle(event, context):\n"
            "    print('on stdout')\n    print('on stderr', file=sys.stderr)\n    logging.info('two\\nlines')\n"
        )
        name = create(cloud, body)
        reply, _ = invoke(cloud, name, LogType="Tail")
        lines = log_lines(cloud, f"/aws/lambda/{name}", "REPORT")
        kinds = [line.split(" ")[0] for line in lines]
        assert kinds[0] == "INIT_START"
        assert kinds[1] == "START"
        assert kinds[-2:] == ["END", "REPORT"]
        assert {"on stdout", "on stderr"} <= set(lines)
        assert any(line.endswith("two\nlines") for line in lines)
        request = reply["ResponseMetadata"]["RequestId"]
        assert f"REPORT RequestId: {request}\tDuration: " in lines[-1]
        assert "Init Duration" in lines[-1]
        assert "on stdout\n" in base64.b64decode(reply["LogResult"]).decode()

    def test_a_printed_line_keeps_its_end(self, cloud: Cloud) -> None:
        name = create(cloud, "import json\ndef handle(event, context):\n    print(json.dumps(event))\n")
        invoke(cloud, name, {"a": 1})
        log_lines(cloud, f"/aws/lambda/{name}", "REPORT")
        events = cloud.client("logs").filter_log_events(logGroupName=f"/aws/lambda/{name}")["events"]
        messages = [event["message"] for event in events]
        assert '{"a": 1}\n' in messages
        assert all(message.endswith("\n") for message in messages)

    def test_json_logging_goes_to_the_group_that_the_template_names(self, cloud: Cloud) -> None:
        group = f"/perennial/{unique()}"
        body = "import logging\ndef handle(event, context):\n    logging.warning('seen')\n"
        name = create(cloud, body, LoggingConfig={"LogFormat": "JSON", "LogGroup": group})
        invoke(cloud, name)
        records = [json.loads(line) for line in log_lines(cloud, group, "platform.report")]
        types = [record.get("type", record.get("level")) for record in records]
        assert types == ["platform.initStart", "platform.start", "WARN", "platform.report"] or "WARNING" in types
        assert "memorySizeMB" in records[-1]["record"]["metrics"]

    def test_embedded_metrics_reach_cloudwatch(self, cloud: Cloud) -> None:
        namespace = unique("Perennial")
        document = {
            "_aws": {
                "Timestamp": int(time.time() * 1000),
                "CloudWatchMetrics": [
                    {
                        "Namespace": namespace,
                        "Dimensions": [["service"]],
                        "Metrics": [{"Name": "Rows", "Unit": "Count"}],
                    }
                ],
            },
            "service": "ingest",
            "Rows": [3, 4],
        }
        name = create(cloud, f"def handle(event, context):\n    print({json.dumps(document)!r})\n")
        invoke(cloud, name)
        assert statistic(cloud, namespace, "Rows", service="ingest") == 7

    def test_invocations_and_errors_count_per_alias_and_under_weights_per_version(self, cloud: Cloud) -> None:
        client = cloud.client("lambda")
        body = "def handle(event, context):\n    return 1 / event\n"
        name = create(cloud, body, Publish=True)
        settled(cloud, name, "1")
        client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
        invoke(cloud, name, 1, Qualifier="live")
        client.update_function_configuration(FunctionName=name, Description="again", Timeout=11)
        settled(cloud, name)
        client.publish_version(FunctionName=name)
        settled(cloud, name, "2")
        client.update_alias(FunctionName=name, Name="live", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}})
        for event in (1, 0):
            invoke(cloud, name, event, Qualifier="live")
        of_alias: dict[str, Any] = {"FunctionName": name, "Resource": f"{name}:live"}
        assert statistic(cloud, "AWS/Lambda", "Invocations", wanted=3, FunctionName=name) == 3
        assert statistic(cloud, "AWS/Lambda", "Invocations", **of_alias) == 3
        assert statistic(cloud, "AWS/Lambda", "Errors", **of_alias) == 1
        assert statistic(cloud, "AWS/Lambda", "Invocations", ExecutedVersion="2", **of_alias) == 2
        # without weights there is no series per version
        assert statistic(cloud, "AWS/Lambda", "Invocations", wanted=0, ExecutedVersion="1", **of_alias) == 0


def statistic(cloud: Cloud, namespace: str, name: str, wanted: float | None = None, **dimensions: Any) -> float:
    """The sum of a metric over the last hours, once it is there (or is `wanted`)."""
    now = cloud.clock.now()

    def ask() -> float | None:
        found = cloud.client("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
            StartTime=now.replace(year=now.year - 1),
            EndTime=now.replace(year=now.year + 1),
            Period=3600,
            Statistics=["Sum"],
        )["Datapoints"]
        total = sum(point["Sum"] for point in found)
        return total if (total == wanted if wanted is not None else total) else None

    deadline = time.monotonic() + 5
    while (answer := ask()) is None and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer or 0


class TestAsynchronousInvocation:
    FAILING = "def handle(event, context):\n    print('ATTEMPT')\n    raise ValueError('no')\n"

    def attempts(self, cloud: Cloud, name: str) -> int:
        client = cloud.client("logs")
        group = f"/aws/lambda/{name}"
        if not client.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
            return 0
        return sum(event["message"] == "ATTEMPT\n" for event in client.filter_log_events(logGroupName=group)["events"])

    def test_a_failing_event_is_tried_three_times_and_then_kept(self, cloud: Cloud) -> None:
        client, sqs = cloud.client("lambda"), cloud.client("sqs")
        name, queue = create(cloud, self.FAILING), unique("dead")
        url = sqs.create_queue(QueueName=queue)["QueueUrl"]
        arn = f"arn:aws:sqs:{cloud.region}:{cloud.account}:{queue}"
        client.put_function_event_invoke_config(
            FunctionName=name, MaximumRetryAttempts=2, DestinationConfig={"OnFailure": {"Destination": arn}}
        )
        reply = client.invoke(FunctionName=name, InvocationType="Event", Payload=b'{"row": 7}')
        assert reply["StatusCode"] == 202
        until(lambda: self.attempts(cloud, name) == 1)
        cloud.clock.advance(61)
        until(lambda: self.attempts(cloud, name) == 2)
        cloud.clock.advance(121)
        (message,) = until(lambda: sqs.receive_message(QueueUrl=url).get("Messages"))
        record = json.loads(message["Body"])
        assert record["requestContext"]["condition"] == "RetriesExhausted"
        assert record["requestContext"]["approximateInvokeCount"] == 3
        assert record["requestPayload"] == {"row": 7}
        assert record["responsePayload"]["errorType"] == "ValueError"
        until(lambda: self.attempts(cloud, name) == 3)

    def test_an_event_that_became_too_old_goes_to_the_dead_letter_queue(self, cloud: Cloud) -> None:
        sqs = cloud.client("sqs")
        queue = unique("dead")
        url = sqs.create_queue(QueueName=queue)["QueueUrl"]
        arn = f"arn:aws:sqs:{cloud.region}:{cloud.account}:{queue}"
        name = create(cloud, self.FAILING, DeadLetterConfig={"TargetArn": arn})
        cloud.client("lambda").put_function_event_invoke_config(FunctionName=name, MaximumEventAgeInSeconds=60)
        cloud.client("lambda").invoke(FunctionName=name, InvocationType="Event", Payload=b'{"row": 8}')
        until(lambda: self.attempts(cloud, name) == 1)
        cloud.clock.advance(61)
        (message,) = until(lambda: sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"]).get("Messages"))
        assert json.loads(message["Body"]) == {"row": 8}
        assert "RequestID" in message["MessageAttributes"]


class TestSnapStart:
    BODY = (
        "import os\n"
        "KIND, PID = os.environ['AWS_LAMBDA_INITIALIZATION_TYPE'], os.getpid()\n"
        "from snapshot_restore_py import register_after_restore, register_before_snapshot\n"
        "HOOKS = []\n"
        "register_before_snapshot(HOOKS.append, 'before')\n"
        "register_after_restore(HOOKS.append, 'after')\n"
        "print('initialised', PID)\n"
        "def handle(event, context):\n"
        "    return [KIND, PID, 'AWS_LAMBDA_LOG_STREAM_NAME' in os.environ, HOOKS]\n"
    )
    ON: ClassVar[dict[str, str]] = {"ApplyOn": "PublishedVersions"}

    def test_a_version_is_initialised_when_it_is_published(self, cloud: Cloud) -> None:
        name = create(cloud, self.BODY, SnapStart=self.ON)
        published = cloud.client("lambda").publish_version(FunctionName=name)
        assert (published["State"], published["SnapStart"]) == ("Pending", {**self.ON, "OptimizationStatus": "On"})
        assert settled(cloud, name, "1")["SnapStart"]["OptimizationStatus"] == "On"
        [told] = [line for line in log_lines(cloud, f"/aws/lambda/{name}", "INIT_REPORT") if "initialised" in line]
        reply, (kind, pid, stream, hooks) = invoke(cloud, name, Qualifier="1", LogType="Tail")
        assert (kind, stream, hooks) == ("snap-start", False, ["before", "after"])
        assert invoke(cloud, name, Qualifier="1")[1] == [kind, pid, stream, hooks]
        assert told == f"initialised {pid}"
        assert "Init Duration" not in base64.b64decode(reply["LogResult"]).decode()

    def test_the_latest_code_starts_as_ever(self, cloud: Cloud) -> None:
        name = create(cloud, self.BODY, SnapStart=self.ON)
        assert settled(cloud, name)["SnapStart"] == {**self.ON, "OptimizationStatus": "Off"}
        assert invoke(cloud, name)[1][0] == "on-demand"

    def test_a_version_that_does_not_initialise_has_failed(self, cloud: Cloud) -> None:
        name = create(cloud, "raise RuntimeError('no')\ndef handle(event, context): pass\n", SnapStart=self.ON)
        client = cloud.client("lambda")
        client.publish_version(FunctionName=name)
        where = {"FunctionName": name, "Qualifier": "1"}
        until(lambda: client.get_function_configuration(**where)["State"] == "Failed")
        assert "failed to initialize" in client.get_function_configuration(**where)["StateReason"]
        with pytest.raises(ClientError, match="ResourceConflictException"):
            client.invoke(**where)

    @pytest.mark.parametrize(
        ("members", "reason"),
        [
            ({"Runtime": "python3.11"}, "python3.11 is not supported for SnapStart"),
            ({"EphemeralStorage": {"Size": 1024}}, "more than 512 MB"),
        ],
    )
    def test_what_snapshots_cannot_be_taken_of_is_refused(
        self, cloud: Cloud, members: dict[str, Any], reason: str
    ) -> None:
        with pytest.raises(ClientError, match=reason):
            create(cloud, self.BODY, SnapStart=self.ON, **members)
