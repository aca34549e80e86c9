"""Where training tasks run: public subnets without a NAT gateway, so that nothing bills by the hour."""

from __future__ import annotations

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_s3 as s3
from constructs import Construct


class Network(Construct):
    """A VPC of two public subnets. Tasks have public addresses to pull their image; nothing may call them."""

    def __init__(self, scope: Construct, *, flow_logs_to: s3.IBucket) -> None:
        super().__init__(scope, "Network")
        public = ec2.SubnetConfiguration(name="public", subnet_type=ec2.SubnetType.PUBLIC, cidr_mask=24)
        self.vpc = ec2.Vpc(
            self,
            "Vpc",
            max_azs=2,
            nat_gateways=0,
            subnet_configuration=[public],
            # emptying the default security group takes a custom resource; nothing is in it
            restrict_default_security_group=False,
        )
        # gateway endpoints are free, and keep training data off the internet
        self.vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
        self.vpc.add_gateway_endpoint("DynamoDb", service=ec2.GatewayVpcEndpointAwsService.DYNAMODB)
        ec2.CfnFlowLog(
            self,
            "FlowLog",
            resource_id=self.vpc.vpc_id,
            resource_type="VPC",
            traffic_type="ALL",
            log_destination_type="s3",
            log_destination=flow_logs_to.arn_for_objects("flow/"),
        )
        self.outbound = ec2.SecurityGroup(
            self,
            "Outbound",
            vpc=self.vpc,
            description="Training tasks: out to AWS, nothing in",
            allow_all_outbound=False,
        )
        # ECR, S3, DynamoDB and the log speak HTTPS; security groups do not filter the VPC's own DNS
        self.outbound.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.HTTPS, "AWS APIs and the image")
