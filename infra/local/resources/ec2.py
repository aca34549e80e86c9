"""AWS::EC2::*: the network that tasks name. It is recorded, and no packet ever goes through it.

Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/AWS_EC2.html
"""

from __future__ import annotations

from typing import Any

from infra.local.resources.base import (
    Handler,
    Made,
    Place,
    Properties,
    ResourceError,
    changed,
    document,
    gone_is_fine,
    pick,
)


def _tagged(kind: str, props: Properties) -> list[Any] | None:
    return [{"ResourceType": kind, "Tags": props["Tags"]}] if props.get("Tags") else None


class VPC(Handler):
    """A private network."""

    type = "AWS::EC2::VPC"
    properties = frozenset({"CidrBlock", "InstanceTenancy", "EnableDnsHostnames", "EnableDnsSupport", "Tags"})
    replaces = frozenset({"CidrBlock", "InstanceTenancy"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it with its DNS attributes."""
        wanted = pick(props, "CidrBlock", "InstanceTenancy")
        vpc = place.call("ec2", "create_vpc", TagSpecifications=_tagged("vpc", props), **wanted)["Vpc"]["VpcId"]
        _dns(place, vpc, props, {})
        groups = place.call("ec2", "describe_security_groups", Filters=[{"Name": "vpc-id", "Values": [vpc]}])
        attributes = {
            "VpcId": vpc,
            "CidrBlock": props["CidrBlock"],
            "DefaultSecurityGroup": groups["SecurityGroups"][0]["GroupId"],
        }
        return Made(vpc, attributes)

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change DNS attributes and tags."""
        _dns(place, made.ref, props, old)
        place.retag("ec2", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_vpc", VpcId=made.ref)


def _dns(place: Place, vpc: str, props: Properties, old: Properties) -> None:
    for name, default in (("EnableDnsSupport", True), ("EnableDnsHostnames", False)):
        if changed(props, old, name):
            place.call("ec2", "modify_vpc_attribute", VpcId=vpc, **{name: {"Value": props.get(name, default)}})


class Subnet(Handler):
    """A subnet."""

    type = "AWS::EC2::Subnet"
    properties = frozenset({"VpcId", "CidrBlock", "AvailabilityZone", "MapPublicIpOnLaunch", "Tags"})
    replaces = frozenset({"VpcId", "CidrBlock", "AvailabilityZone"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        wanted = pick(props, "VpcId", "CidrBlock", "AvailabilityZone")
        made = place.call("ec2", "create_subnet", TagSpecifications=_tagged("subnet", props), **wanted)["Subnet"]
        subnet = made["SubnetId"]
        self._public(place, subnet, props, {})
        zone = made["AvailabilityZone"]
        return Made(subnet, {"SubnetId": subnet, "AvailabilityZone": zone} | pick(props, "VpcId", "CidrBlock"))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change public addresses and tags."""
        self._public(place, made.ref, props, old)
        place.retag("ec2", made.ref, props, old)
        return made

    @staticmethod
    def _public(place: Place, subnet: str, props: Properties, old: Properties) -> None:
        if changed(props, old, "MapPublicIpOnLaunch"):
            value = {"Value": props.get("MapPublicIpOnLaunch", False)}
            place.call("ec2", "modify_subnet_attribute", SubnetId=subnet, MapPublicIpOnLaunch=value)

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_subnet", SubnetId=made.ref)


class RouteTable(Handler):
    """A route table."""

    type = "AWS::EC2::RouteTable"
    properties = frozenset({"VpcId", "Tags"})
    replaces = frozenset({"VpcId"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        tags = _tagged("route-table", props)
        reply = place.call("ec2", "create_route_table", VpcId=props["VpcId"], TagSpecifications=tags)
        table = reply["RouteTable"]["RouteTableId"]
        return Made(table, {"RouteTableId": table})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags."""
        place.retag("ec2", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_route_table", RouteTableId=made.ref)


class Route(Handler):
    """A route of a table to an internet gateway."""

    type = "AWS::EC2::Route"
    properties = frozenset({"RouteTableId", "DestinationCidrBlock", "GatewayId"})
    replaces = frozenset({"RouteTableId", "DestinationCidrBlock"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        place.call("ec2", "create_route", **props)
        return Made(f"{props['RouteTableId']}|{props['DestinationCidrBlock']}", pick(props, "DestinationCidrBlock"))

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Point it elsewhere."""
        place.call("ec2", "replace_route", **props)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_route", **pick(props, "RouteTableId", "DestinationCidrBlock"))


class SubnetRouteTableAssociation(Handler):
    """Which route table a subnet has."""

    type = "AWS::EC2::SubnetRouteTableAssociation"
    properties = frozenset({"RouteTableId", "SubnetId"})
    replaces = properties

    def create(self, place: Place, props: Properties) -> Made:
        """Associate."""
        made = place.call("ec2", "associate_route_table", **props)["AssociationId"]
        return Made(made, {"Id": made})

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Disassociate."""
        gone_is_fine(place, "ec2", "disassociate_route_table", AssociationId=made.ref)


class InternetGateway(Handler):
    """The way out."""

    type = "AWS::EC2::InternetGateway"
    properties = frozenset({"Tags"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        reply = place.call("ec2", "create_internet_gateway", TagSpecifications=_tagged("internet-gateway", props))
        gateway = reply["InternetGateway"]["InternetGatewayId"]
        return Made(gateway, {"InternetGatewayId": gateway})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags."""
        place.retag("ec2", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_internet_gateway", InternetGatewayId=made.ref)


class VPCGatewayAttachment(Handler):
    """An internet gateway attached to a network."""

    type = "AWS::EC2::VPCGatewayAttachment"
    properties = frozenset({"VpcId", "InternetGatewayId"})
    replaces = frozenset({"VpcId"})

    def create(self, place: Place, props: Properties) -> Made:
        """Attach."""
        place.call("ec2", "attach_internet_gateway", **props)
        return Made(f"IGW|{props['VpcId']}", {"AttachmentType": "IGW"})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Attach another gateway in its place."""
        self.delete(place, made, old)
        return self.create(place, props)

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Detach."""
        gone_is_fine(place, "ec2", "detach_internet_gateway", **props)


class VPCEndpoint(Handler):
    """A gateway or interface endpoint."""

    type = "AWS::EC2::VPCEndpoint"
    properties = frozenset(
        {
            "VpcId",
            "ServiceName",
            "VpcEndpointType",
            "RouteTableIds",
            "SubnetIds",
            "SecurityGroupIds",
            "PrivateDnsEnabled",
            "PolicyDocument",
            "Tags",
        }
    )
    replaces = frozenset({"VpcId", "ServiceName", "VpcEndpointType"})

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        wanted = {name: item for name, item in props.items() if name != "Tags"}
        policy = {"PolicyDocument": document(props["PolicyDocument"])} if "PolicyDocument" in props else {}
        reply = place.call(
            "ec2", "create_vpc_endpoint", TagSpecifications=_tagged("vpc-endpoint", props), **(wanted | policy)
        )
        endpoint = reply["VpcEndpoint"]["VpcEndpointId"]
        return Made(endpoint, {"Id": endpoint})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags."""
        if changed(props, old, *(self.properties - self.replaces - {"Tags"})):
            return super().update(place, made, props, old)
        place.retag("ec2", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_vpc_endpoints", VpcEndpointIds=[made.ref])


class FlowLog(Handler):
    """A record of a network's traffic: made, and always empty."""

    type = "AWS::EC2::FlowLog"
    properties = frozenset(
        {
            "ResourceId",
            "ResourceType",
            "TrafficType",
            "LogDestination",
            "LogDestinationType",
            "LogGroupName",
            "LogFormat",
            "MaxAggregationInterval",
            "DeliverLogsPermissionArn",
            "Tags",
        }
    )
    replaces = properties - {"Tags"}

    def create(self, place: Place, props: Properties) -> Made:
        """Create it."""
        wanted = {name: item for name, item in props.items() if name not in {"Tags", "ResourceId"}}
        if props.get("LogDestinationType") == "s3":
            # moto takes a folder within the bucket for a part of the bucket's name
            wanted["LogDestination"] = props["LogDestination"].partition("/")[0]
        tags = _tagged("vpc-flow-log", props)
        reply = place.call(
            "ec2", "create_flow_logs", ResourceIds=[props["ResourceId"]], TagSpecifications=tags, **wanted
        )
        if reply.get("Unsuccessful"):
            raise ResourceError(reply["Unsuccessful"][0]["Error"]["Message"])
        made = reply["FlowLogIds"][0]
        return Made(made, {"Id": made})

    def update(self, place: Place, made: Made, props: Properties, old: Properties) -> Made:
        """Change tags."""
        place.retag("ec2", made.ref, props, old)
        return made

    def delete(self, place: Place, made: Made, props: Properties) -> None:
        """Delete it."""
        gone_is_fine(place, "ec2", "delete_flow_logs", FlowLogIds=[made.ref])
