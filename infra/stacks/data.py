"""Stack data: what an environment remembers. Everything here outlives deployments of the other stacks."""

from __future__ import annotations

from pathlib import Path

from aws_cdk import Duration, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_s3_assets as s3_assets
from constructs import Construct

from infra.assets import EXCLUDED
from infra.constructs.acknowledge import acknowledge
from infra.constructs.alerts import Alerts
from infra.constructs.bucket import PrivateBucket
from infra.constructs.shared import Memory, publish
from infra.constructs.tables import GlueTables, KeyedTable
from infra.environment import Environment
from perennial.catalog.load import Catalog
from perennial.monitoring import DAY_FILES

_ACCESS_LOGS = Duration.days(90)


class DataStack(Stack):
    """Buckets, tables, bus, Glue database, catalog, and the parameters by which clients find them."""

    def __init__(self, scope: Construct, *, environment: Environment, catalog: Catalog, catalog_folder: Path) -> None:
        super().__init__(scope, environment.resource("data"), analytics_reporting=False)
        self.settings = environment
        self.access_logs = self._access_logs()
        self.data = self._data()
        self.ledger = self._ledger()
        self.registry = KeyedTable(self, "Registry", environment=environment, thing="registry")
        self.triggers = KeyedTable(self, "Triggers", environment=environment, thing="triggers")
        self.approvals = KeyedTable(self, "Approvals", environment=environment, thing="approvals")
        self.bus = events.EventBus(self, "Bus", event_bus_name=environment.bus)
        acknowledge(
            self.bus,
            "Every rule on this bus has a dead-letter queue of its own; the bus's would only serve customer keys.",
            "Serverless-EventBusDLQ",
        )
        self.alerts = Alerts(self, environment=environment)
        self.catalog = s3_assets.Asset(self, "Catalog", path=str(catalog_folder), exclude=EXCLUDED)
        self.glue = GlueTables(
            self, "Glue", environment=environment, contracts=catalog.contracts.values(), bucket=self.data
        )
        self._parameters()

    def memory(self) -> Memory:
        """What the other stacks use of this one."""
        return Memory(
            data=self.data,
            ledger=self.ledger,
            access_logs=self.access_logs,
            registry=self.registry,
            triggers=self.triggers,
            approvals=self.approvals,
            bus=self.bus,
            alerts=self.alerts,
            catalog_asset=self.catalog,
        )

    def _access_logs(self) -> PrivateBucket:
        expiry = s3.LifecycleRule(id="expire", expiration=_ACCESS_LOGS)
        bucket = PrivateBucket(self, "AccessLogs", environment=self.settings, log_to=None, lifecycle=[expiry])
        # VPC flow logs are delivered by this service (infra/constructs/network.py); it adds this statement itself
        # when it may, behind CloudFormation's back: so it is said here.
        source = {"StringEquals": {"aws:SourceAccount": self.account}}
        delivery = iam.ServicePrincipal("delivery.logs.amazonaws.com")
        written = bucket.arn_for_objects(f"flow/AWSLogs/{self.account}/*")
        bucket.add_to_resource_policy(
            iam.PolicyStatement(principals=[delivery], actions=["s3:PutObject"], resources=[written], conditions=source)
        )
        bucket.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[delivery],
                actions=["s3:GetBucketAcl", "s3:ListBucket"],
                resources=[bucket.bucket_arn],
                conditions=source,
            )
        )
        return bucket

    def _data(self) -> PrivateBucket:
        settings = self.settings
        staging = s3.LifecycleRule(id="staging", prefix="staging/", expiration=Duration.days(settings.staging_days))
        former = s3.LifecycleRule(
            id="noncurrent",
            noncurrent_version_expiration=Duration.days(settings.noncurrent_days),
            # an expired object leaves a delete marker, which would stay alone, and slow down listings, for ever
            expired_object_delete_marker=True,
        )
        logged = [
            s3.LifecycleRule(id=thing, prefix=f"{thing}/", expiration=Duration.days(settings.prediction_log_days))
            for thing in ("predictions", "predictions-failed", DAY_FILES.rstrip("/"))
        ]
        bucket = PrivateBucket(
            self, "Data", environment=settings, log_to=self.access_logs, lifecycle=[staging, former, *logged]
        )
        bucket.send_events()
        return bucket

    def _ledger(self) -> PrivateBucket:
        settings = self.settings
        bucket = PrivateBucket(
            self,
            "Ledger",
            environment=settings,
            log_to=self.access_logs,
            lifecycle=[],
            object_lock_days=settings.ledger_retention_days,
        )
        # S3 user guide, "Enforce conditional writes": a record is written once or not at all.
        bucket.deny("OnlyNewRecords", ["s3:PutObject"], {"Null": {"s3:if-none-match": "true"}})
        bucket.deny("NoDeletes", ["s3:DeleteObject", "s3:DeleteObjectVersion", "s3:BypassGovernanceRetention"])
        return bucket

    def _parameters(self) -> None:
        values = {
            "data-bucket": self.data.bucket_name,
            "ledger-bucket": self.ledger.bucket_name,
            "registry-table": self.registry.table_name,
            "triggers-table": self.triggers.table_name,
            "bus": self.bus.event_bus_name,
            "alerts-topic": self.alerts.topic_arn,
            "catalog": self.catalog.s3_object_url,
        }
        for thing, value in values.items():
            publish(self, self.settings, thing, value)
