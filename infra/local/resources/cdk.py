"""AWS::CDK::Metadata: which CDK made the template. CloudFormation only counts it, and so it makes nothing here."""

from __future__ import annotations

from infra.local.resources.base import Handler, Made, Place, Properties


class Metadata(Handler):
    """Nothing."""

    type = "AWS::CDK::Metadata"
    properties = frozenset({"Analytics"})

    def create(self, place: Place, props: Properties) -> Made:
        """Nothing to make."""
        return Made(place.name(128))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Nothing to change."""
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Nothing to delete."""
