"""The HTTP API: the Open Inference Protocol (v2), for callers that sign with IAM."""

from __future__ import annotations

import json
from collections.abc import Iterable

from aws_cdk import ArnFormat, Stack
from aws_cdk import aws_apigatewayv2 as apigw
from aws_cdk import aws_apigatewayv2_authorizers as authorizers
from aws_cdk import aws_apigatewayv2_integrations as integrations
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from constructs import Construct

from infra.constructs.alerts import PERIOD, alarm
from infra.constructs.log_group import StageLogGroup
from infra.environment import Environment
from infra.routes import DECISIONS, FEEDBACK, MODELS, RETRAINS, ROLLBACKS, Route

# One JSON line per request: who asked for what, what came back, where the time went.
_ACCESS = {
    "requestId": "$context.requestId",
    "time": "$context.requestTimeEpoch",
    "caller": "$context.identity.userArn",
    "ip": "$context.identity.sourceIp",
    "route": "$context.routeKey",
    "path": "$context.path",
    "status": "$context.status",
    "bytes": "$context.responseLength",
    "milliseconds": "$context.responseLatency",
    "integrationMilliseconds": "$context.integrationLatency",
    "integrationStatus": "$context.integrationStatus",
    "error": "$context.error.message",
    "integrationError": "$context.integrationErrorMessage",
}


class Api(Construct):
    """HTTP API `perennial-<env>`, payload format 2.0, every route signed (SigV4)."""

    def __init__(
        self, scope: Construct, *, environment: Environment, models: lambda_.IFunction, alerts: sns.ITopic
    ) -> None:
        super().__init__(scope, "Api")
        self.api = apigw.HttpApi(
            self,
            "Http",
            api_name=f"perennial-{environment.name}",
            description=f"Perennial {environment.name}: predictions by the Open Inference Protocol v2",
            create_default_stage=False,
            default_authorizer=authorizers.HttpIamAuthorizer(),
        )
        self._stage(environment)
        alarm(
            self,
            "ErrorsAlarm",
            environment=environment,
            name="api-errors",
            says="Requests were answered with a 5xx.",
            metric=self.api.metric_server_error(period=PERIOD, statistic="Sum"),
            alerts=alerts,
        )
        # one permission for all routes: the function is the API's answer to whatever no predict function answers
        answer = integrations.HttpLambdaIntegration("Models", models, scope_permission_to_route=False)
        self._routes(MODELS, answer)
        # a path that no route has still gets the protocol's error body
        apigw.HttpRoute(self, "Default", http_api=self.api, route_key=apigw.HttpRouteKey.DEFAULT, integration=answer)
        # the source of that route has two parts (<stage>/$default), which the other permission's three do not match
        lambda_.CfnPermission(
            self,
            "DefaultPermission",
            action="lambda:InvokeFunction",
            function_name=models.function_arn,
            principal="apigateway.amazonaws.com",
            source_arn=Stack.of(self).format_arn(
                service="execute-api", resource=self.api.api_id, resource_name="*/$default"
            ),
        )

    @property
    def url(self) -> str:
        """Where the API answers, without a trailing slash."""
        return str(self.api.api_endpoint)

    def serve(self, model: str, live: lambda_.CfnAlias) -> None:
        """Send `/v2/models/<model>/…` to the alias `live` of its predict function."""
        words = "".join(word.title() for word in model.split("-"))
        alias = lambda_.Function.from_function_attributes(
            self, f"{words}Live", function_arn=live.ref, same_environment=True
        )
        self._routes([("ANY", f"/v2/models/{model}/{{proxy+}}")], integrations.HttpLambdaIntegration(words, alias))

    def approve(self, function: lambda_.IFunction) -> None:
        """Send what people decide to `function`, which looks at who they are."""
        self._routes(DECISIONS, integrations.HttpLambdaIntegration("Approve", function))

    def take_back(self, function: lambda_.IFunction) -> None:
        """Send what people take back to `function`."""
        self._routes(ROLLBACKS, integrations.HttpLambdaIntegration("TakeBack", function))

    def retrain(self, function: lambda_.IFunction) -> None:
        """Send what people want trained to `function`."""
        self._routes(RETRAINS, integrations.HttpLambdaIntegration("Retrain", function))

    def feedback(self, function: lambda_.IFunction) -> None:
        """Send outcomes to `function`."""
        self._routes(FEEDBACK, integrations.HttpLambdaIntegration("Feedback", function))

    def _routes(self, routes: Iterable[Route], integration: apigw.HttpRouteIntegration) -> None:
        for method, path in routes:
            self.api.add_routes(path=path, methods=[apigw.HttpMethod[method]], integration=integration)

    def _stage(self, environment: Environment) -> None:
        log = StageLogGroup(
            self, "Access", environment=environment, log_group_name=f"/perennial/{environment.name}/api"
        )
        stage = apigw.HttpStage(
            self,
            "Stage",
            http_api=self.api,
            stage_name="$default",
            auto_deploy=True,
            throttle=apigw.ThrottleSettings(rate_limit=environment.api.rate, burst_limit=environment.api.burst),
        )
        resource: apigw.CfnStage = stage.node.default_child
        resource.access_log_settings = apigw.CfnStage.AccessLogSettingsProperty(
            destination_arn=Stack.of(self).format_arn(
                service="logs",
                resource="log-group",
                resource_name=log.log_group_name,
                arn_format=ArnFormat.COLON_RESOURCE_NAME,
            ),
            format=json.dumps(_ACCESS),
        )
