"""Stack serving: the HTTP API and the functions that answer it."""

from __future__ import annotations

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.constructs.api import Api
from infra.constructs.health import Health
from infra.constructs.layer_set import LayerSet
from infra.constructs.records import Records
from infra.constructs.shared import Memory, Shared, publish
from infra.environment import Environment
from infra.stages.models import Models
from infra.stages.predict import Predict
from perennial.catalog.load import Catalog


class ServingStack(Stack):
    """One predict function per model of the catalog, the models function for everything else."""

    def __init__(
        self,
        scope: Construct,
        *,
        environment: Environment,
        memory: Memory,
        catalog: Catalog,
        approve: lambda_.IFunction,
        deploy: lambda_.IFunction,
        feedback: lambda_.IFunction,
        retrain: lambda_.IFunction,
    ) -> None:
        super().__init__(scope, environment.resource("serving"), analytics_reporting=False)
        layers = LayerSet(self, environment=environment)
        shared = Shared(stack=self, environment=environment, memory=memory, catalog=catalog, layers=layers)
        models = Models(self, shared)
        api = Api(self, environment=environment, models=models.function, alerts=memory.alerts)
        api.approve(approve)
        api.take_back(deploy)
        api.feedback(feedback)
        api.retrain(retrain)
        records = Records(self, environment=environment, bucket=memory.data, alerts=memory.alerts)
        for model in sorted(catalog.models):
            predict = Predict(self, shared, model=model, records=records)
            api.serve(model, predict.live)
        if environment.dashboard:
            Health(self, environment=environment, models=sorted(catalog.models))
        publish(self, environment, "api-url", api.url)
