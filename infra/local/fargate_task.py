"""One Fargate task of the local cloud: its containers as processes, from PROVISIONING to STOPPED.

Sources: https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html and
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from infra.local import process
from infra.local.fargate_roles import CannotStart, ExecutionRole
from infra.local.iam import principals
from infra.local.lambdas.images import Image, ImageError, build, source_of
from infra.local.lambdas.pipes import Pipe
from infra.local.lambdas.sandbox import Machinery
from infra.local.lambdas.watch import Watched

MEGABYTE = 1024 * 1024
PROVISIONING = 0.2  # seconds of real time before the containers start
STOP_TIMEOUT = 30
OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


@dataclass
class Container:
    """A container of a task: its definition with the overrides of this run."""

    definition: Mapping[str, Any]
    override: Mapping[str, Any]
    arn: str
    child: subprocess.Popen[bytes] | None = None
    pipe: Pipe | None = None
    watched: Watched | None = None
    exit_code: int | None = None
    reason: str | None = None
    status: str = "PENDING"

    @property
    def essential(self) -> bool:
        """Whether the task ends with it."""
        return self.definition.get("essential") is not False

    def environment(self) -> dict[str, str]:
        """The variables of the definition with those of the run over them."""
        pairs = [*self.definition.get("environment", []), *self.override.get("environment", [])]
        return {pair["name"]: pair["value"] for pair in pairs}


@dataclass
class Task:
    """A running or finished task. `facts` are the members of its description that never change."""

    arn: str
    facts: dict[str, Any]
    definition: Mapping[str, Any]
    containers: list[Container]
    machinery: Machinery
    memory: int | None
    role: str | None
    execution_role: str | None
    status: str = "PROVISIONING"
    desired: str = "RUNNING"
    stop_code: str | None = None
    stopped_reason: str | None = None
    times: dict[str, float] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _ended: threading.Event = field(default_factory=threading.Event)
    _finished: threading.Event = field(default_factory=threading.Event)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    @property
    def identifier(self) -> str:
        """The last part of the ARN."""
        return self.arn.rpartition("/")[2]

    @property
    def _execution(self) -> ExecutionRole:
        return ExecutionRole(self.machinery.cloud, self.execution_role, self.identifier)

    def start(self) -> None:
        """Begin: everything else happens in a thread of the task's own."""
        self.times["createdAt"] = self._now()
        threading.Thread(target=self._live, name=f"task-{self.identifier[:8]}", daemon=True).start()

    def stop(self, reason: str, code: str = "UserInitiated") -> None:
        """Ask the task to stop: SIGTERM, and SIGKILL after the stop timeout."""
        with self._lock:
            if self.desired == "RUNNING":
                self.desired = "STOPPED"
                self.stop_code, self.stopped_reason = code, reason
                self.times["stoppingAt"] = self._now()
        self._stopping.set()
        self._ended.set()

    def _live(self) -> None:
        try:
            if not self._stopping.wait(PROVISIONING):
                self._run()
        except CannotStart as error:
            with self._lock:
                self.stop_code, self.stopped_reason = "TaskFailedToStart", str(error)
        finally:
            self._finish()

    def _run(self) -> None:
        for container in self.containers:
            self._start_container(container)
        self.status = "RUNNING"
        self.times["startedAt"] = self._now()
        for container in self.containers:
            if container.watched:
                self.machinery.watcher.add(container.watched)
        self._ended.wait()

    def _start_container(self, container: Container) -> None:
        image = self._image(container.definition["image"])
        try:
            override = container.override.get("command") or container.definition.get("command")
            arguments = image.arguments(container.definition.get("entryPoint"), override)
        except ImageError as error:
            raise CannotStart(f"CannotStartContainerError: {error}") from error
        container.pipe = Pipe(self._sink(container))
        directory = image.directory(container.definition.get("workingDirectory"))
        try:
            container.child = process.spawn(
                arguments,
                env=self._variables(container, image),
                cwd=directory,
                stdout=container.pipe.writer,
                stderr=container.pipe.writer,
            )
        except OSError as error:
            raise CannotStart(f"CannotStartContainerError: {error}") from error
        finally:
            container.pipe.written()
        self.machinery.pump.add(container.pipe)
        container.status = "RUNNING"
        container.watched = self._watch(container, container.child)

    def _watch(self, container: Container, child: subprocess.Popen[bytes]) -> Watched:
        own = container.override.get("memory") or container.definition.get("memory")
        limit = min(filter(None, (own, self.memory)), default=None)

        def exceeded() -> None:
            container.reason = OUT_OF_MEMORY
            child.kill()
            self._left(container)

        return Watched(child, (limit or 1 << 30) * MEGABYTE, exceeded, ended=lambda: self._left(container))

    def _left(self, container: Container) -> None:
        with self._lock:
            if container.essential and self.desired == "RUNNING":
                self.desired = "STOPPED"
                self.stop_code, self.stopped_reason = "EssentialContainerExited", "Essential container in task exited"
        if container.essential or all(c.child and c.child.poll() is not None for c in self.containers):
            self._ended.set()

    def _image(self, uri: str) -> Image:
        self._execution.pull(uri)
        source = source_of(self.machinery.cloud, uri)
        if source is None:
            raise CannotStart(f"CannotPullContainerError: image {uri} was not found")
        try:
            return build(source, self.machinery.cloud.workdir / "images")
        except ImageError as error:
            raise CannotStart(f"CannotPullContainerError: image {uri}: {error}") from error

    def _variables(self, container: Container, image: Image) -> dict[str, str]:
        cloud = self.machinery.cloud
        variables = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "AWS_REGION": cloud.region,
            "AWS_DEFAULT_REGION": cloud.region,
            "AWS_EXECUTION_ENV": "AWS_ECS_FARGATE",
            "AWS_ENDPOINT_URL": cloud.endpoint,
            "TMPDIR": str(self._temporary()),
        }
        if self.role:
            key = cloud.credentials.issue(principals.session_arn(self.role, self.identifier))
            variables |= {"AWS_ACCESS_KEY_ID": key.access_key, "AWS_SECRET_ACCESS_KEY": key.secret_key}
        return {**variables, **image.variables(), **container.environment()}

    def _temporary(self) -> Path:
        path = self.machinery.cloud.workdir / "tmp" / self.identifier
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _sink(self, container: Container) -> Callable[[str], None]:
        logging = container.definition.get("logConfiguration") or {}
        if logging.get("logDriver") != "awslogs":
            return lambda _line: None
        options = logging["options"]
        group = options["awslogs-group"]
        known = self.machinery.cloud.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
        if options.get("awslogs-create-group") != "true" and group not in {each["logGroupName"] for each in known}:
            raise CannotStart(
                "ResourceInitializationError: failed to validate logger args: The task cannot find the Amazon "
                f"CloudWatch log group defined in the task definition: {group}"
            )
        prefix = options.get("awslogs-stream-prefix", "ecs")
        stream = f"{prefix}/{container.definition['name']}/{self.identifier}"
        writer = self._execution.log_writer(group, stream)
        return lambda line: self.machinery.logs.add(group, stream, line.rstrip("\r\n"), writer)  # as Docker's driver

    def _finish(self) -> None:
        self.desired = "STOPPED"
        self.status = "DEPROVISIONING"
        self.times["executionStoppedAt"] = self._now()
        for container in self.containers:
            self._end_container(container)
        with contextlib.suppress(OSError):
            shutil.rmtree(self._temporary())
        # what the containers have written is in the log before anybody sees the task stopped
        self.machinery.logs.flush()
        self.times["stoppedAt"] = self._now()
        self.status = "STOPPED"
        self._finished.set()

    def _end_container(self, container: Container) -> None:
        if container.watched:
            self.machinery.watcher.remove(container.watched)
        if container.child:
            running = container.child.poll() is None and not container.reason
            grace = container.definition.get("stopTimeout", STOP_TIMEOUT) if running else 0
            status = process.end(container.child, grace=grace)
            container.exit_code = status if status >= 0 else 128 - status
        if container.pipe and container.child:
            self.machinery.pump.remove(container.pipe)
        container.status = "STOPPED"

    def _now(self) -> float:
        return self.machinery.cloud.clock.time()

    def describe(self) -> dict[str, Any]:
        """The task as DescribeTasks answers."""
        with self._lock:
            view = {
                **self.facts,
                **self.times,
                "taskArn": self.arn,
                "lastStatus": self.status,
                "desiredStatus": self.desired,
                "containers": [self._container(container) for container in self.containers],
                "version": len(self.times),
            }
            if self.status in ("DEPROVISIONING", "STOPPED"):
                view |= {"stopCode": self.stop_code, "stoppedReason": self.stopped_reason}
        return {name: value for name, value in view.items() if value is not None}

    def _container(self, container: Container) -> dict[str, Any]:
        view = {
            "containerArn": container.arn,
            "taskArn": self.arn,
            "name": container.definition["name"],
            "image": container.definition["image"],
            "lastStatus": container.status,
            "exitCode": container.exit_code,
            "reason": container.reason,
            "networkInterfaces": [],
            "healthStatus": "UNKNOWN",
            "cpu": str(container.override.get("cpu") or container.definition.get("cpu") or 0),
        }
        return {name: value for name, value in view.items() if value is not None}

    def kill(self) -> None:
        """End it at once: the cloud stops."""
        self.stop("the local cloud stops", "TerminationNotice")
        for container in self.containers:
            if container.child and container.child.poll() is None:
                container.child.kill()

    def wait(self, seconds: float) -> bool:
        """Wait until it has stopped."""
        return self._finished.wait(seconds)


def identifier() -> str:
    """A new task id."""
    return uuid.uuid4().hex
