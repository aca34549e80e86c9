"""AWS::ApiGatewayV2::* (HTTP APIs).

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ApiGatewayV2.html
"""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, ResourceError, changed, gone_is_fine


class Api(Handler):
    """An HTTP API; its endpoint is the local gateway."""

    type = "AWS::ApiGatewayV2::Api"
    properties = frozenset(
        {"Name", "Description", "ProtocolType", "CorsConfiguration", "DisableExecuteApiEndpoint", "Tags"}
    )
    replaces = frozenset({"ProtocolType"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create the API."""
        if props.get("ProtocolType") != "HTTP":
            raise ResourceError("property ProtocolType: the local cloud has HTTP APIs only")
        api = place.call("apigatewayv2", "create_api", **props)["ApiId"]
        return Made(api, {"ApiId": api, "ApiEndpoint": f"http://127.0.0.1:{place.cloud.api_port}"})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change the API's own settings."""
        wanted = {name: item for name, item in props.items() if name not in {"ProtocolType", "Tags"}}
        place.call("apigatewayv2", "update_api", ApiId=made.ref, **wanted)
        place.retag("apigatewayv2", f"arn:aws:apigateway:{place.cloud.region}::/apis/{made.ref}", props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the API with all it has."""
        gone_is_fine(place, "apigatewayv2", "delete_api", ApiId=made.ref)


class Integration(Handler):
    """What a route calls."""

    type = "AWS::ApiGatewayV2::Integration"
    properties = frozenset(
        {
            "ApiId",
            "Description",
            "IntegrationType",
            "IntegrationMethod",
            "IntegrationUri",
            "PayloadFormatVersion",
            "TimeoutInMillis",
        }
    )
    replaces = frozenset({"ApiId"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        made = place.call("apigatewayv2", "create_integration", **props)["IntegrationId"]
        return Made(made, {"IntegrationId": made})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it."""
        place.call("apigatewayv2", "update_integration", IntegrationId=made.ref, **props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "apigatewayv2", "delete_integration", ApiId=props["ApiId"], IntegrationId=made.ref)


class Route(Handler):
    """A route: method and path, authorisation, target."""

    type = "AWS::ApiGatewayV2::Route"
    properties = frozenset({"ApiId", "RouteKey", "AuthorizationType", "Target", "OperationName"})
    replaces = frozenset({"ApiId"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        made = place.call("apigatewayv2", "create_route", **props)["RouteId"]
        return Made(made, {"RouteId": made})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change it."""
        place.call("apigatewayv2", "update_route", RouteId=made.ref, **props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "apigatewayv2", "delete_route", ApiId=props["ApiId"], RouteId=made.ref)


class Stage(Handler):
    """A stage that deploys itself."""

    type = "AWS::ApiGatewayV2::Stage"
    properties = frozenset(
        {
            "ApiId",
            "StageName",
            "AutoDeploy",
            "Description",
            "AccessLogSettings",
            "DefaultRouteSettings",
            "RouteSettings",
            "StageVariables",
            "Tags",
        }
    )
    replaces = frozenset({"ApiId", "StageName"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create the stage; without AutoDeploy nothing would ever be deployed to it here."""
        if str(props.get("AutoDeploy", False)).lower() != "true":
            raise ResourceError("property AutoDeploy: the local cloud has only stages that deploy themselves")
        place.call("apigatewayv2", "create_stage", **props)
        return Made(props["StageName"])

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change its settings; moto cannot tag a stage that exists."""
        if changed(props, old, "Tags"):
            return super().update(place, made, props, old)
        place.call("apigatewayv2", "update_stage", **{name: item for name, item in props.items() if name != "Tags"})
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "apigatewayv2", "delete_stage", ApiId=props["ApiId"], StageName=made.ref)
