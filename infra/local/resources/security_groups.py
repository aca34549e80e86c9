"""AWS::EC2::SecurityGroup and its rules.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/aws-resource-ec2-securitygroup.html
"""

from __future__ import annotations

from typing import Any

from infra.local.resources.base import Handler, Made, Place, Properties, changed, gone_is_fine, known

RULE = frozenset({"CidrIp", "CidrIpv6", "Description", "FromPort", "IpProtocol", "ToPort"})
ENDS = {
    "ingress": frozenset({"SourcePrefixListId", "SourceSecurityGroupId"}),
    "egress": frozenset({"DestinationPrefixListId", "DestinationSecurityGroupId"}),
}
# what a new group lets out until the template says otherwise
EVERYTHING = {"IpProtocol": "-1", "CidrIp": "0.0.0.0/0"}


def permission(rule: Properties) -> dict[str, Any]:
    """A rule as CloudFormation writes it, in the words of the EC2 API."""
    known(rule, dict.fromkeys(RULE | ENDS["ingress"] | ENDS["egress"] | {"GroupId"}), "rule")
    note = {"Description": rule["Description"]} if "Description" in rule else {}
    made: dict[str, Any] = {name: rule[name] for name in ("IpProtocol", "FromPort", "ToPort") if name in rule}
    for name, field, key in (
        ("CidrIp", "IpRanges", "CidrIp"),
        ("CidrIpv6", "Ipv6Ranges", "CidrIpv6"),
        ("SourcePrefixListId", "PrefixListIds", "PrefixListId"),
        ("DestinationPrefixListId", "PrefixListIds", "PrefixListId"),
        ("SourceSecurityGroupId", "UserIdGroupPairs", "GroupId"),
        ("DestinationSecurityGroupId", "UserIdGroupPairs", "GroupId"),
    ):
        if name in rule:
            made[field] = [{key: rule[name]} | note]
    return made


def _set(place: Place, way: str, group: str, wanted: list[Any], had: list[Any]) -> None:
    gone = [permission(rule) for rule in had if rule not in wanted]
    new = [permission(rule) for rule in wanted if rule not in had]
    if gone:
        place.call("ec2", f"revoke_security_group_{way}", GroupId=group, IpPermissions=gone)
    if new:
        place.call("ec2", f"authorize_security_group_{way}", GroupId=group, IpPermissions=new)


class SecurityGroup(Handler):
    """A security group with its rules."""

    type = "AWS::EC2::SecurityGroup"
    properties = frozenset(
        {"GroupName", "GroupDescription", "VpcId", "SecurityGroupIngress", "SecurityGroupEgress", "Tags"}
    )
    replaces = frozenset({"GroupName", "GroupDescription", "VpcId"})
    named_by = "GroupName"

    def create(self, place: Place, props: Properties) -> Made:
        """Create it; its own egress rules take the place of the one that lets everything out."""
        tags = [{"ResourceType": "security-group", "Tags": props["Tags"]}] if props.get("Tags") else None
        group = place.call(
            "ec2",
            "create_security_group",
            GroupName=props.get("GroupName") or place.name(255),
            Description=props["GroupDescription"],
            VpcId=props.get("VpcId"),
            TagSpecifications=tags,
        )["GroupId"]
        attributes = {"GroupId": group, "Id": group, "VpcId": props.get("VpcId", "")}
        with self.finishing(place, Made(group, attributes), props) as made:
            self._rules(place, group, props, {})
        return made

    @staticmethod
    def _rules(place: Place, group: str, props: Properties, old: Properties) -> None:
        _set(place, "ingress", group, props.get("SecurityGroupIngress", []), old.get("SecurityGroupIngress", []))
        egress = [props.get("SecurityGroupEgress", [EVERYTHING]), old.get("SecurityGroupEgress", [EVERYTHING])]
        _set(place, "egress", group, egress[0], egress[1])

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change rules and tags."""
        if changed(props, old, "SecurityGroupIngress", "SecurityGroupEgress"):
            self._rules(place, made.ref, props, old)
        place.retag("ec2", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_security_group", GroupId=made.ref)


class SecurityGroupIngress(Handler):
    """A rule for what comes in."""

    type = "AWS::EC2::SecurityGroupIngress"
    properties = RULE | ENDS["ingress"] | {"GroupId"}
    replaces = properties - {"Description"}
    way = "ingress"

    def create(self, place: Place, props: Properties) -> Made:
        """Add the rule."""
        _set(place, self.way, props["GroupId"], [props], [])
        return Made(place.name(128))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Put the rule anew with its new description."""
        _set(place, self.way, props["GroupId"], [props], [old])
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Take the rule away."""
        _set(place, self.way, props["GroupId"], [], [props])


class SecurityGroupEgress(SecurityGroupIngress):
    """A rule for what goes out."""

    type = "AWS::EC2::SecurityGroupEgress"
    properties = RULE | ENDS["egress"] | {"GroupId"}
    replaces = properties - {"Description"}
    way = "egress"
