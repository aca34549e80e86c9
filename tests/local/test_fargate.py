"""ECS tasks as processes, seen through boto3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest
from botocore.exceptions import ClientError

from infra.local.context import Cloud, ImageSource
from tests.local.small_functions import log_lines, unique, until

CLUSTER = "fargate-tests"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-1"]}}
SHOW = "import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), os.getpid()]))\n"
SLEEP = "import os, time\nprint(os.getpid(), flush=True)\ntime.sleep(60)\n"


@pytest.fixture(scope="module")
def ecs(cloud: Cloud) -> Any:
    client = cloud.client("ecs")
    client.create_cluster(clusterName=CLUSTER)
    return client


def register(cloud: Cloud, folder: Path, program: str, *, group: str | None = None, **container: Any) -> str:
    """A task definition whose image runs `program`; returns its ARN."""
    folder.mkdir(exist_ok=True)
    (folder / "program.py").write_text(program)
    (folder / "Dockerfile").write_text(
        "FROM python:3.13\nENV COLOUR=blue\nWORKDIR /app\nCOPY program.py /app/\n"
        'CMD ["python", "/app/program.py", "one"]\n'
    )
    uri = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/assets:{unique()}"
    cloud.images[uri] = ImageSource(folder)
    definition: dict[str, Any] = {"name": "train", "image": uri, "essential": True, **container}
    if group:
        cloud.client("logs").create_log_group(logGroupName=group)
        options = {"awslogs-group": group, "awslogs-region": cloud.region, "awslogs-stream-prefix": "train"}
        definition["logConfiguration"] = {"logDriver": "awslogs", "options": options}
    registered = cloud.client("ecs").register_task_definition(
        family=unique("train"),
        requiresCompatibilities=["FARGATE"],
        networkMode="awsvpc",
        cpu="1024",
        memory="2048",
        taskRoleArn="arn:aws:iam::123456789012:role/train",
        executionRoleArn="arn:aws:iam::123456789012:role/train",
        containerDefinitions=[definition],
    )
    arn: str = registered["taskDefinition"]["taskDefinitionArn"]
    return arn


def run(ecs: Any, definition: str, **members: Any) -> dict[str, Any]:
    call = {"cluster": CLUSTER, "taskDefinition": definition, "launchType": "FARGATE", "networkConfiguration": NETWORK}
    task: dict[str, Any] = ecs.run_task(**(call | members))["tasks"][0]
    return task


def describe(ecs: Any, task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = ecs.describe_tasks(cluster=CLUSTER, tasks=[task["taskArn"]])["tasks"][0]
    return found


def reached(ecs: Any, task: dict[str, Any], status: str) -> dict[str, Any]:
    return until(lambda: found if (found := describe(ecs, task))["lastStatus"] == status else {}, 20)


def test_a_task_runs_its_image_with_its_variables_and_writes_its_log(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    import json

    group = f"/perennial/{unique()}"
    variables = [{"name": "COLOUR", "value": "red"}, {"name": "TABLE", "value": "registry"}]
    definition = register(cloud, tmp_path, SHOW, group=group, environment=variables)
    override = {"name": "train", "environment": [{"name": "RUN_REQUEST", "value": "staging/1/request.json"}]}
    task = run(ecs, definition, overrides={"containerOverrides": [override]}, startedBy="me")
    assert task["lastStatus"] == "PROVISIONING"
    stopped = reached(ecs, task, "STOPPED")
    (container,) = stopped["containers"]
    assert container["exitCode"] == 0
    assert stopped["stopCode"] == "EssentialContainerExited"
    assert stopped["clusterArn"].endswith(f":cluster/{CLUSTER}")
    assert stopped["createdAt"] <= stopped["startedAt"] <= stopped["stoppedAt"]
    arguments, environment, directory, _ = json.loads(log_lines(cloud, group, "RUN_REQUEST")[0])
    assert arguments == ["one"]
    assert directory.endswith("/app")
    assert environment["COLOUR"] == "red"
    assert environment["RUN_REQUEST"] == "staging/1/request.json"
    assert environment["AWS_EXECUTION_ENV"] == "AWS_ECS_FARGATE"
    assert environment["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert cloud.credentials.find(environment["AWS_ACCESS_KEY_ID"]).arn.endswith(  # type: ignore[union-attr]
        f":assumed-role/train/{task['taskArn'].rpartition('/')[2]}"
    )
    (stream,) = cloud.client("logs").describe_log_streams(logGroupName=group)["logStreams"]
    assert stream["logStreamName"] == f"train/train/{task['taskArn'].rpartition('/')[2]}"


def test_a_command_of_the_run_replaces_the_images(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    group = f"/perennial/{unique()}"
    definition = register(cloud, tmp_path, SHOW, group=group)
    override = {"name": "train", "command": ["python", "-c", "print('other'); raise SystemExit(4)"]}
    task = run(ecs, definition, overrides={"containerOverrides": [override]})
    stopped = reached(ecs, task, "STOPPED")
    assert stopped["containers"][0]["exitCode"] == 4
    assert stopped["stoppedReason"] == "Essential container in task exited"
    assert log_lines(cloud, group, "other") == ["other"]


def test_a_task_over_its_memory_is_killed(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    hungry = "import time\nheld = bytearray(300 << 20)\nheld[::4096] = b'x' * len(held[::4096])\ntime.sleep(30)\n"
    task = run(ecs, register(cloud, tmp_path, hungry, memory=128))
    (container,) = reached(ecs, task, "STOPPED")["containers"]
    assert container["exitCode"] == 137
    assert container["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_memory_and_cpu_of_the_run_replace_the_definitions(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    task = run(ecs, register(cloud, tmp_path, SHOW), overrides={"cpu": "2048", "memory": "4096"})
    assert (task["cpu"], task["memory"]) == ("2048", "4096")
    reached(ecs, task, "STOPPED")


def test_a_stopped_task_gets_time_to_leave(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    polite = (
        "import signal, sys, time\n"
        "def leave(*_):\n    print('leaving', flush=True)\n    time.sleep(0.3)\n    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, leave)\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    group = f"/perennial/{unique()}"
    task = run(ecs, register(cloud, tmp_path, polite, group=group))
    log_lines(cloud, group, "ready")
    assert ecs.list_tasks(cluster=CLUSTER, desiredStatus="RUNNING")["taskArns"].count(task["taskArn"]) == 1
    ecs.stop_task(cluster=CLUSTER, task=task["taskArn"], reason="not needed")
    stopped = reached(ecs, task, "STOPPED")
    assert (stopped["stopCode"], stopped["stoppedReason"]) == ("UserInitiated", "not needed")
    assert stopped["containers"][0]["exitCode"] == 0
    assert "leaving" in log_lines(cloud, group, "leaving")
    assert task["taskArn"] not in ecs.list_tasks(cluster=CLUSTER)["taskArns"]
    assert task["taskArn"] in ecs.list_tasks(cluster=CLUSTER, desiredStatus="STOPPED")["taskArns"]


def test_a_task_that_does_not_leave_is_killed(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    group = f"/perennial/{unique()}"
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    task = run(ecs, register(cloud, tmp_path, deaf, group=group, stopTimeout=2))
    (line,) = log_lines(cloud, group, "")
    ecs.stop_task(cluster=CLUSTER, task=task["taskArn"].rpartition("/")[2])
    assert reached(ecs, task, "STOPPED")["containers"][0]["exitCode"] == 137
    assert not psutil.pid_exists(int(line))


@pytest.mark.parametrize("missing", ["image", "log group"])
def test_a_task_that_cannot_start_says_why(cloud: Cloud, ecs: Any, tmp_path: Path, missing: str) -> None:
    changed: dict[str, Any] = {"image": "example.org/none:1"}
    if missing == "log group":
        options = {"awslogs-group": "/none", "awslogs-region": cloud.region, "awslogs-stream-prefix": "a"}
        changed = {"logConfiguration": {"logDriver": "awslogs", "options": options}}
    task = run(ecs, register(cloud, tmp_path, SHOW, **changed))
    stopped = reached(ecs, task, "STOPPED")
    assert stopped["stopCode"] == "TaskFailedToStart"
    expected = "CannotPullContainerError" if missing == "image" else "ResourceInitializationError"
    assert stopped["stoppedReason"].startswith(expected)
    assert "exitCode" not in stopped["containers"][0]


@pytest.mark.parametrize(
    ("members", "code"),
    [
        ({"cluster": "none"}, "ClusterNotFoundException"),
        ({"taskDefinition": "none:1"}, "ClientException"),
        ({"networkConfiguration": None}, "InvalidParameterException"),
        ({"count": 11}, "InvalidParameterException"),
        ({"overrides": {"containerOverrides": [{"name": "other"}]}}, "InvalidParameterException"),
        (
            {"overrides": {"containerOverrides": [{"name": "train", "command": ["x" * 8192]}]}},
            "InvalidParameterException",
        ),
    ],
)
def test_calls_that_aws_refuses_are_refused(
    cloud: Cloud, ecs: Any, tmp_path: Path, members: dict[str, Any], code: str
) -> None:
    call = {
        "cluster": CLUSTER,
        "taskDefinition": register(cloud, tmp_path, SHOW),
        "launchType": "FARGATE",
        "networkConfiguration": NETWORK,
    } | members
    with pytest.raises(ClientError) as caught:
        ecs.run_task(**{name: value for name, value in call.items() if value is not None})
    assert caught.value.response["Error"]["Code"] == code


def test_several_tasks_at_once_and_unknown_ones(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    started = ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=register(cloud, tmp_path, SHOW),
        launchType="FARGATE",
        networkConfiguration=NETWORK,
        count=2,
    )["tasks"]
    assert len({task["taskArn"] for task in started}) == 2
    for task in started:
        reached(ecs, task, "STOPPED")
    unknown = ecs.describe_tasks(cluster=CLUSTER, tasks=["0" * 32])
    assert unknown["tasks"] == []
    assert unknown["failures"][0]["reason"] == "MISSING"


def test_without_room_a_task_is_not_placed_and_the_answer_says_so(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    definition = register(cloud, tmp_path / "image", "import time; time.sleep(60)")
    call = {"taskDefinition": definition, "launchType": "FARGATE", "networkConfiguration": NETWORK, "cluster": CLUSTER}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cloud, "fargate_room", 0)
        reply = ecs.run_task(**call)
    assert reply["tasks"] == []
    assert [failed["reason"][:23] for failed in reply["failures"]] == ["Capacity is unavailable"]


def test_the_log_is_complete_when_the_task_is_seen_stopped(cloud: Cloud, ecs: Any, tmp_path: Path) -> None:
    group = f"/perennial/{unique()}"
    task = run(ecs, register(cloud, tmp_path, "for n in range(500):\n    print('line', n)\n", group=group))
    reached(ecs, task, "STOPPED")
    events = cloud.client("logs").filter_log_events(logGroupName=group)["events"]
    assert [event["message"] for event in events] == [f"line {n}" for n in range(500)]
