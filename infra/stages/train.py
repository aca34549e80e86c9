"""Stage train: a Fargate task that fits one model and leaves its workspace in S3."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra.constructs.acknowledge import acknowledge
from infra.constructs.grants import never_write_objects, read_objects, write_objects
from infra.constructs.log_group import StageLogGroup
from infra.constructs.network import Network
from infra.constructs.shared import Shared
from infra.constructs.stage_function import variables
from infra.constructs.training_image import TrainingImage
from perennial.datasets import batches
from perennial.rollout import code
from perennial.scoring import batch
from perennial.settings import TrainSettings

# Given by the workflow when it starts a task, so not part of the task's definition.
REQUEST = "run_request"
CHUNK = "tune_chunk"
_UNITS_PER_VCPU = 1024
_MIB_PER_GIB = 1024
# Between asking the process to end (SIGTERM) and ending it.
_STOP = Duration.seconds(30)


class Train(Construct):
    """Task definition `perennial-<env>-train` in a cluster of its own; run by the workflow `lifecycle`."""

    def __init__(self, scope: Construct, shared: Shared, *, network: Network, image: TrainingImage) -> None:
        super().__init__(scope, "Train")
        environment = shared.environment
        self.network = network
        self.timeout = Duration.minutes(environment.train.timeout_minutes)
        self.cluster = ecs.Cluster(self, "Cluster", cluster_name=environment.resource("train"), vpc=network.vpc)
        acknowledge(
            self.cluster,
            "Tasks live for minutes and log what they do; Container Insights bills per task metric.",
            "AwsSolutions-ECS4",
        )
        self.log_group = StageLogGroup(
            self, "Log", environment=environment, log_group_name=f"/perennial/{environment.name}/train"
        )
        self.role = self._role("Role")
        self.task = self._task(shared)
        self.container = self._container(shared, image)
        memory = shared.memory
        read_objects(self.role, memory.data, "curated/", "profiles/", "staging/")
        write_objects(self.role, memory.data, "staging/")
        # an own estimator runs with this role: what it made is for stage evaluate to judge, and what other stages
        # put into staging stays theirs
        others = [f"{prefix}*" for prefix in (batches.STAGING, batch.STAGING, code.STAGING)]
        never_write_objects(self.role, memory.data, "staging/*/evaluation.json", *others)
        shared.share_ledger(self.role)

    def _role(self, name: str) -> iam.Role:
        return iam.Role(self, name, assumed_by=iam.ServicePrincipal("ecs-tasks.amazonaws.com"))

    def _task(self, shared: Shared) -> ecs.FargateTaskDefinition:
        environment = shared.environment
        execution = self._role("ExecutionRole")
        self.log_group.written_by(execution)
        acknowledge(execution, "ecr:GetAuthorizationToken knows no resources.", "AwsSolutions-IAM5[Resource::*]")
        arm = environment.architecture == "arm64"
        processor = ecs.CpuArchitecture.ARM64 if arm else ecs.CpuArchitecture.X86_64
        return ecs.FargateTaskDefinition(
            self,
            "Task",
            family=environment.resource("train"),
            cpu=environment.train.vcpu * _UNITS_PER_VCPU,
            memory_limit_mib=environment.train.memory_gib * _MIB_PER_GIB,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=processor, operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
            task_role=self.role,
            execution_role=execution,
        )

    def _container(self, shared: Shared, image: TrainingImage) -> ecs.ContainerDefinition:
        acknowledge(self.task, "Names of buckets and tables, no secrets.", "AwsSolutions-ECS2")
        return self.task.add_container(
            "train",
            container_name="train",
            image=image.for_task(),
            command=["python", "-m", "functions.train.handler"],
            environment=variables(TrainSettings, shared.values(), without=[REQUEST, CHUNK]),
            logging=ecs.LogDriver.aws_logs(stream_prefix="train", log_group=self.log_group),
            stop_timeout=_STOP,
        )
