"""ECS RunTask, DescribeTasks, StopTask and ListTasks of the local cloud; clusters and task definitions are moto's.

Source: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from typing import Any

from botocore.exceptions import ClientError
from werkzeug import Request, Response

from infra.local import aws_json
from infra.local.aws_json import ApiError
from infra.local.context import Cloud
from infra.local.fargate_roles import TASKS
from infra.local.fargate_task import Container, Task, identifier
from infra.local.lambdas.logs import LogWriter
from infra.local.lambdas.metrics import Metrics
from infra.local.lambdas.pipes import Pump
from infra.local.lambdas.sandbox import Machinery
from infra.local.lambdas.watch import Watcher

PREFIX = "AmazonEC2ContainerServiceV20141113"
OVERRIDES_LIMIT = 8192  # characters, the JSON included
MOST_TASKS = 10
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html
NO_ROOM = {"reason": "Capacity is unavailable at this time. Please try again later or in a different availability zone"}
COPIED = ("startedBy", "group", "launchType", "platformVersion", "enableExecuteCommand", "tags", "overrides")


class FargateService:
    """Runs tasks as processes."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._metrics = Metrics(cloud)
        self._logs = LogWriter(cloud, self._metrics)
        self._machinery = Machinery(cloud, self._logs, Pump(), Watcher())
        self._tasks: dict[str, Task] = {}
        self._lock = threading.Lock()

    def handle(self, request: Request) -> Response | None:
        """Answer the operations on tasks; None for everything else of ECS."""
        operations = {
            "RunTask": self._run_task,
            "DescribeTasks": self._describe_tasks,
            "StopTask": self._stop_task,
            "ListTasks": self._list_tasks,
        }
        operation = operations.get(aws_json.operation(request, PREFIX) or "")
        if operation is None:
            return None
        try:
            return aws_json.reply(operation(aws_json.arguments(request)))
        except ApiError as error:
            return aws_json.refusal(error)

    def _run_task(self, call: Mapping[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(call)
        definition = self._definition(call.get("taskDefinition", ""))
        overrides = call.get("overrides") or {}
        self._check(call, definition, overrides)
        wanted = [self._task(call, cluster, definition, overrides) for _ in range(call.get("count", 1))]
        with self._lock:
            tasks = wanted[: self._room()]
            self._tasks |= {task.arn: task for task in tasks}
        for task in tasks:
            task.start()
        return {"tasks": [task.describe() for task in tasks], "failures": [NO_ROOM] * (len(wanted) - len(tasks))}

    def _room(self) -> int | None:
        """How many more tasks there is capacity for; None for any number."""
        room = self._cloud.fargate_room
        if room is None:
            return None
        running = [task for task in self._tasks.values() if task.describe()["lastStatus"] != "STOPPED"]
        return max(0, room - len(running))

    def _cluster(self, call: Mapping[str, Any]) -> str:
        wanted = call.get("cluster") or "default"
        found = self._cloud.client("ecs").describe_clusters(clusters=[wanted])["clusters"]
        if not found:
            raise ApiError("ClusterNotFoundException", "Cluster not found.")
        arn: str = found[0]["clusterArn"]
        return arn

    def _definition(self, name: str) -> dict[str, Any]:
        try:
            found = self._cloud.client("ecs").describe_task_definition(taskDefinition=name)["taskDefinition"]
        except ClientError as error:
            raise ApiError("ClientException", "TaskDefinition not found.") from error
        definition: dict[str, Any] = found
        if definition.get("status") == "INACTIVE":
            raise ApiError("ClientException", "TaskDefinition is inactive")
        return definition

    @staticmethod
    def _check(call: Mapping[str, Any], definition: Mapping[str, Any], overrides: Mapping[str, Any]) -> None:
        if not 1 <= call.get("count", 1) <= MOST_TASKS:
            raise ApiError("InvalidParameterException", f"Count must be between 1 and {MOST_TASKS}.")
        if len(json.dumps(overrides, separators=(",", ":"), ensure_ascii=False)) > OVERRIDES_LIMIT:
            raise ApiError("InvalidParameterException", f"Container Overrides length must be at most {OVERRIDES_LIMIT}")
        if definition.get("networkMode") == "awsvpc" and not call.get("networkConfiguration"):
            raise ApiError(
                "InvalidParameterException",
                "Network Configuration must be provided when networkMode 'awsvpc' is specified.",
            )
        names = {container["name"] for container in definition["containerDefinitions"]}
        for override in overrides.get("containerOverrides", []):
            if override.get("name") not in names:
                raise ApiError(
                    "InvalidParameterException",
                    f"Override for container named {override.get('name')} is not a container in the TaskDefinition.",
                )
        for container in definition["containerDefinitions"]:
            if container.get("secrets") or container.get("environmentFiles"):
                raise ApiError(
                    "InvalidParameterException", "secrets and environmentFiles are not imitated by the local cloud"
                )

    def _task(
        self, call: Mapping[str, Any], cluster: str, definition: Mapping[str, Any], overrides: Mapping[str, Any]
    ) -> Task:
        prefix = f"arn:aws:ecs:{self._cloud.region}:{self._cloud.account}"
        cluster_name, task_id = cluster.rpartition("/")[2], identifier()
        by_name = {each["name"]: each for each in overrides.get("containerOverrides", [])}
        containers = [
            Container(
                each, by_name.get(each["name"], {}), f"{prefix}:container/{cluster_name}/{task_id}/{identifier()}"
            )
            for each in definition["containerDefinitions"]
        ]
        memory = overrides.get("memory") or definition.get("memory")
        facts = {name: call.get(name) for name in COPIED} | {
            "clusterArn": cluster,
            "taskDefinitionArn": definition["taskDefinitionArn"],
            "cpu": overrides.get("cpu") or definition.get("cpu"),
            "memory": memory,
            "group": call.get("group") or f"family:{definition['family']}",
            "launchType": call.get("launchType") or "FARGATE",
            "overrides": {"containerOverrides": [], "inferenceAcceleratorOverrides": [], **overrides},
            "attachments": [],
            "attributes": [],
        }
        role = overrides.get("taskRoleArn") or definition.get("taskRoleArn")
        execution = overrides.get("executionRoleArn") or definition.get("executionRoleArn")
        if role and not self._cloud.authority.trusts(role, TASKS):
            raise ApiError(
                "ClientException", f"ECS was unable to assume the role '{role}' that was provided for this task."
            )
        arn = f"{prefix}:task/{cluster_name}/{task_id}"
        limit = int(memory) if memory else None
        return Task(arn, facts, definition, containers, self._machinery, limit, role, execution)

    def _describe_tasks(self, call: Mapping[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(call)
        tasks, failures = [], []
        for name in call.get("tasks", []):
            task = self._find(cluster, name)
            if task:
                tasks.append(task.describe())
            else:
                failures.append({"arn": self._arn(cluster, name), "reason": "MISSING"})
        return {"tasks": tasks, "failures": failures}

    def _stop_task(self, call: Mapping[str, Any]) -> dict[str, Any]:
        task = self._find(self._cluster(call), call.get("task", ""))
        if task is None:
            raise ApiError("InvalidParameterException", "The referenced task was not found.")
        task.stop(call.get("reason") or "Task stopped by user")
        return {"task": task.describe()}

    def _list_tasks(self, call: Mapping[str, Any]) -> dict[str, Any]:
        cluster = self._cluster(call)
        desired = call.get("desiredStatus") or "RUNNING"
        with self._lock:
            tasks = list(self._tasks.values())
        found = []
        for task in tasks:
            view = task.describe()
            wanted = {"clusterArn": cluster, "desiredStatus": desired}
            wanted |= {name: call[name] for name in ("startedBy", "launchType") if call.get(name)}
            family = call.get("family")
            if all(view.get(name) == value for name, value in wanted.items()) and (
                not family or task.definition["family"] == family
            ):
                found.append(task.arn)
        return {"taskArns": found}

    def _find(self, cluster: str, name: str) -> Task | None:
        with self._lock:
            return self._tasks.get(self._arn(cluster, name))

    def _arn(self, cluster: str, name: str) -> str:
        if name.startswith("arn:"):
            return name
        return f"arn:aws:ecs:{self._cloud.region}:{self._cloud.account}:task/{cluster.rpartition('/')[2]}/{name}"

    def stop(self) -> None:
        """End every task, and write what has been logged."""
        with self._lock:
            tasks = list(self._tasks.values())
        for task in tasks:
            if task.status != "STOPPED":
                task.kill()
        for task in tasks:
            task.wait(10)
        self._machinery.watcher.stop()
        self._machinery.pump.stop()
        self._logs.stop()
        self._metrics.stop()
