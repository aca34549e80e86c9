"""AWS::ECS::*. Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_ECS.html."""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, changed, gone_is_fine


class Cluster(Handler):
    """A cluster: for Fargate a name and settings."""

    type = "AWS::ECS::Cluster"
    properties = frozenset({"ClusterName", "ClusterSettings", "Tags"})
    replaces = frozenset({"ClusterName"})
    named_by = "ClusterName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        name = props.get("ClusterName") or place.name(255)
        arn = place.call(
            "ecs",
            "create_cluster",
            clusterName=name,
            settings=props.get("ClusterSettings"),
            tags=props.get("Tags"),
        )["cluster"]["clusterArn"]
        return Made(name, {"Arn": arn})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change settings and tags."""
        if changed(props, old, "ClusterSettings"):
            place.call("ecs", "update_cluster", cluster=made.ref, settings=props.get("ClusterSettings", []))
        place.retag("ecs", made.attributes["Arn"], props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ecs", "delete_cluster", cluster=made.ref)


class TaskDefinition(Handler):
    """A revision of a task definition; every change registers another."""

    type = "AWS::ECS::TaskDefinition"
    properties = frozenset(
        {
            "Family",
            "ContainerDefinitions",
            "Cpu",
            "Memory",
            "EphemeralStorage",
            "ExecutionRoleArn",
            "TaskRoleArn",
            "NetworkMode",
            "RequiresCompatibilities",
            "RuntimePlatform",
            "Volumes",
            "Tags",
        }
    )
    replaces = properties - {"Tags"}

    def create(self, place: Place, props: Properties) -> Made:
        """Register the revision."""
        family = props.get("Family") or place.name(255)
        reply = place.call("ecs", "register_task_definition", **(props | {"Family": family}))
        arn = reply["taskDefinition"]["taskDefinitionArn"]
        return Made(arn, {"TaskDefinitionArn": arn})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags."""
        place.retag("ecs", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Deregister the revision."""
        gone_is_fine(place, "ecs", "deregister_task_definition", taskDefinition=made.ref)
