"""AWS::Logs::*. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_Logs.html."""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, changed, document, gone_is_fine, pick, tag_map


class LogGroup(Handler):
    """A log group and how long it keeps what it is given."""

    type = "AWS::Logs::LogGroup"
    properties = frozenset({"LogGroupName", "RetentionInDays", "LogGroupClass", "Tags"})
    replaces = frozenset({"LogGroupName"})
    named_by = "LogGroupName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create the group."""
        name = props.get("LogGroupName") or place.name(512)
        place.call(
            "logs",
            "create_log_group",
            logGroupName=name,
            tags=tag_map(props.get("Tags")),
            logGroupClass=props.get("LogGroupClass"),
        )
        days = props.get("RetentionInDays")
        with self.finishing(place, Made(name, {"Arn": place.arn("logs", f"log-group:{name}:*")}), props) as made:
            if days is not None:
                place.call("logs", "put_retention_policy", logGroupName=name, retentionInDays=days)
        return made

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change retention and tags."""
        if changed(props, old, "LogGroupClass"):
            return super().update(place, made, props, old)
        if changed(props, old, "RetentionInDays"):
            days = props.get("RetentionInDays")
            operation = "put_retention_policy" if days else "delete_retention_policy"
            place.call("logs", operation, logGroupName=made.ref, retentionInDays=days)
        place.retag("logs", made.attributes["Arn"].removesuffix(":*"), props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete the group with everything in it."""
        gone_is_fine(place, "logs", "delete_log_group", logGroupName=made.ref)


class SubscriptionFilter(Handler):
    """What of a log group goes where."""

    type = "AWS::Logs::SubscriptionFilter"
    properties = frozenset({"FilterName", "LogGroupName", "FilterPattern", "DestinationArn", "RoleArn", "Distribution"})
    replaces = frozenset({"FilterName", "LogGroupName"})
    named_by = "FilterName"

    def create(self, place: Place, props: Properties) -> Made:
        """Put the filter."""
        name = props.get("FilterName") or place.name(512)
        wanted = pick(props, "LogGroupName", "FilterPattern", "DestinationArn", "RoleArn", "Distribution")
        place.call("logs", "put_subscription_filter", filterName=name, **wanted)
        return Made(name)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the filter anew under its name."""
        return self.create(place, props | {"FilterName": made.ref})

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(
            place, "logs", "delete_subscription_filter", logGroupName=props["LogGroupName"], filterName=made.ref
        )


class ResourcePolicy(Handler):
    """Who may write into log groups."""

    type = "AWS::Logs::ResourcePolicy"
    properties = frozenset({"PolicyName", "PolicyDocument"})
    replaces = frozenset({"PolicyName"})
    named_by = "PolicyName"

    def create(self, place: Place, props: Properties) -> Made:
        """Put the policy."""
        name = props["PolicyName"]
        place.call("logs", "put_resource_policy", policyName=name, policyDocument=document(props["PolicyDocument"]))
        return Made(name)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the new policy over the old one."""
        return self.create(place, props)

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "logs", "delete_resource_policy", policyName=made.ref)
