"""What every stage of a stack is handed: the environment, what is remembered, the layers, values of its variables."""

from __future__ import annotations

from dataclasses import dataclass

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra.constructs.grants import append_ledger, read_asset
from infra.constructs.layer_set import LayerSet
from infra.environment import Environment
from perennial.catalog.load import Catalog


@dataclass(frozen=True)
class Memory:
    """The resources of the data stack that other stacks use."""

    data: s3.IBucket
    ledger: s3.IBucket
    access_logs: s3.IBucket
    registry: dynamodb.ITable
    triggers: dynamodb.ITable
    approvals: dynamodb.ITable
    bus: events.IEventBus
    alerts: sns.ITopic
    catalog_asset: s3_assets.Asset


@dataclass(frozen=True)
class Shared:
    """Handed to every stage of one stack."""

    stack: Stack
    environment: Environment
    memory: Memory
    catalog: Catalog
    layers: LayerSet

    def values(self) -> dict[str, str]:
        """Value of every variable that a settings class may ask for, by field name."""
        memory, environment = self.memory, self.environment
        return {
            "environment": environment.name,
            "data_bucket": memory.data.bucket_name,
            "ledger_bucket": memory.ledger.bucket_name,
            "registry_table": memory.registry.table_name,
            "triggers_table": memory.triggers.table_name,
            "approvals_table": memory.approvals.table_name,
            "alerts_topic": memory.alerts.topic_arn,
            "bus": memory.bus.event_bus_name,
            "catalog_bucket": memory.catalog_asset.s3_bucket_name,
            "catalog_key": memory.catalog_asset.s3_object_key,
            "glue_database": environment.glue_database,
            "predict_prefix": environment.predict_prefix,
            "kept_versions": str(environment.predict.kept_versions),
            "prediction_log_days": str(environment.prediction_log_days),
            "range_rows": str(environment.score.range_rows),
            "approval_required": str(environment.approval.required).lower(),
            "approval_days": str(environment.approval.timeout_days),
            "lifecycle_workflow": self.workflow_arn("lifecycle"),
            "promotion_workflow": self.workflow_arn("promotion"),
        }

    def workflow_arn(self, workflow: str) -> str:
        """ARN of a state machine by its name, for the stages that the machine itself calls."""
        return self._arn("states", "stateMachine", self.environment.resource(workflow))

    def executions_arn(self, workflow: str) -> str:
        """ARN of the executions of a state machine by its name: theirs are made as they start."""
        return self._arn("states", "execution", f"{self.environment.resource(workflow)}:*")

    def predict_arn(self, qualifier: str = "") -> str:
        """ARN of the predict functions of all models: by prefix, since a policy holds only some dozens of names."""
        return self._arn("lambda", "function", f"{self.environment.predict_prefix}*{qualifier}")

    def _arn(self, service: str, resource: str, name: str) -> str:
        colon = ArnFormat.COLON_RESOURCE_NAME
        return str(self.stack.format_arn(service=service, resource=resource, resource_name=name, arn_format=colon))

    def share_ledger(self, role: iam.IRole, subjects: str = "model/") -> None:
        """What every stage that decides something may do: read the catalog, append to the ledger of its `subjects`."""
        read_asset(role, self.memory.catalog_asset)
        append_ledger(role, self.memory.ledger, self.memory.registry, subjects)


def publish(scope: Construct, environment: Environment, thing: str, value: str) -> None:
    """Say in SSM where `thing` is, for the CLI and every other client."""
    words = "".join(word.title() for word in thing.split("-"))
    ssm.StringParameter(scope, f"{words}Parameter", parameter_name=environment.parameter(thing), string_value=value)
