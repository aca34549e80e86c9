"""One deployed environment, found through SSM parameters and the ordinary AWS credential chain."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

import boto3
import typer
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from perennial.catalog.load import Catalog, load_catalog
from perennial.errors import ModelUnknown
from perennial.governance.ledger import Ledger
from perennial.registry import Registry
from perennial.rollout.live import ALIAS
from perennial.rollout.turn import Turn
from perennial.storage.functions import Function
from perennial.storage.items import Items
from perennial.storage.objects import Objects
from scripts.cli import local
from scripts.cli.output import Failure

EnvironmentName = Annotated[
    str, typer.Option("--env", envvar="PERENNIAL_ENV", help="The environment: dev, staging or prod.")
]

NOT_FOUND = "no deployment of environment {env!r} found{where}: {error}\n{advice}"
START = 'Start one with `perennial up --detach`, then `eval "$(perennial env)"`; for AWS set credentials and region.'
POINT = 'A local cloud is running here; point this shell at it with `eval "$(perennial env)"`.'


@dataclass(frozen=True)
class Deployment:
    """Environment `env`; every address comes from SSM `/perennial/<env>/…`.

    With a `profile` only `parameters` and `client` are for use: the library's own clients take the credential chain.
    """

    env: str
    profile: str | None = None

    @cached_property
    def parameters(self) -> dict[str, str]:
        """All parameters of the environment by short name. Raises Failure with what to do when there are none."""
        prefix = f"/perennial/{self.env}/"
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        where = f" at {endpoint}" if endpoint else " on AWS"
        try:
            pages = self.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=prefix, Recursive=True)
            found = {item["Name"].removeprefix(prefix): item["Value"] for page in pages for item in page["Parameters"]}
        except (ClientError, BotoCoreError, ValueError) as error:
            raise Failure(self._not_found(where, error)) from error
        if not found:
            raise Failure(self._not_found(where, f"no SSM parameters under {prefix}"))
        return found

    def _not_found(self, where: str, error: object) -> str:
        state = local.read_state(local.WORKDIR)
        meant = state is not None and state["env"] == self.env
        elsewhere = meant and local.exports(state or {})["AWS_ENDPOINT_URL"] != os.environ.get("AWS_ENDPOINT_URL")
        return NOT_FOUND.format(env=self.env, where=where, error=error, advice=POINT if elsewhere else START)

    @cached_property
    def _session(self) -> Any:
        return boto3.Session(profile_name=self.profile) if self.profile else boto3

    def client(self, service: str, config: Config | None = None) -> Any:
        """A boto3 client from the ordinary credential chain, or of the profile."""
        return self._session.client(service, config=config)

    @staticmethod
    def now() -> datetime:
        """The present, as the environment has it: a local cloud's clock may have been driven forward."""
        endpoint = os.environ.get("AWS_ENDPOINT_URL")
        state = local.read_state(local.WORKDIR)
        if endpoint and state is not None and local.exports(state)["AWS_ENDPOINT_URL"] == endpoint:
            return datetime.fromisoformat(local.control(endpoint, "health")["time"])
        return datetime.now(UTC)

    @cached_property
    def data(self) -> Objects:
        """The data bucket."""
        return Objects(self.parameters["data-bucket"])

    @cached_property
    def items(self) -> Items:
        """The registry table."""
        return Items(self.parameters["registry-table"])

    @cached_property
    def registry(self) -> Registry:
        """The model registry."""
        return Registry(self.items)

    @cached_property
    def ledger(self) -> Ledger:
        """The ledger of decisions."""
        return Ledger(Objects(self.parameters["ledger-bucket"]), self.items)

    def rollout(self, model: str) -> dict[str, Any] | None:
        """The rollout that gives a version a share of the model's requests: version, weight, whether it goes on."""
        try:
            weights = Function(f"perennial-{self.env}-predict-{model}").alias(ALIAS).weights
        except ModelUnknown:  # its function is not deployed yet
            return None
        holder = Turn(self.items).holder(model)
        if not weights or holder is None or holder.version is None:
            return None
        return {"version": holder.version, "weight": sum(weights.values()), "running": holder.running}

    @cached_property
    def catalog(self) -> Catalog:
        """The catalog this environment was deployed with."""
        bucket, _, key = self.parameters["catalog"].removeprefix("s3://").partition("/")
        return load_catalog(bucket, key)

    def executions(self, workflow: str, status: str | None = None) -> list[dict[str, Any]]:
        """Executions of a workflow (`ingest`, `lifecycle`, `rollout`), newest first."""
        extra = {"statusFilter": status} if status else {}
        pages = self.client("stepfunctions").get_paginator("list_executions")
        arn = self.parameters[f"{workflow}-workflow"]
        return [item for page in pages.paginate(stateMachineArn=arn, **extra) for item in page["executions"]]
