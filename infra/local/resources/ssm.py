"""AWS::SSM::Parameter.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ssm-parameter.html
"""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties, gone_is_fine, pick, tag_list

VALUE = ("Value", "Type", "Description", "AllowedPattern", "DataType", "Tier")


class Parameter(Handler):
    """A String or StringList parameter."""

    type = "AWS::SSM::Parameter"
    properties = frozenset({"Name", "Tags", *VALUE})
    replaces = frozenset({"Name"})
    named_by = "Name"

    def create(self, place: Place, props: Properties) -> Made:
        """Put the parameter; one of this name that exists already is an error."""
        name = props.get("Name") or place.name(200)
        place.call("ssm", "put_parameter", Name=name, Tags=tag_list(props.get("Tags")), **pick(props, *VALUE))
        return Made(name, pick(props, "Type", "Value"))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the new value over the old one."""
        place.call("ssm", "put_parameter", Name=made.ref, Overwrite=True, **pick(props, *VALUE))
        place.retag("ssm", made.ref, props, old)
        return Made(made.ref, pick(props, "Type", "Value"))

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ssm", "delete_parameter", Name=made.ref)
