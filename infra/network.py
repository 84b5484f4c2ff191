"""The VPC: subnets over the zones, who may talk to whom, and the warm-up's way to the Hub."""

from __future__ import annotations

from typing import Any

import pulumi
import pulumi_aws as aws

from .addresses import VPC_CIDR, ipv6_cidr, private_cidr
from .egress import Egress


class Network(pulumi.ComponentResource):
    """VPC with a private subnet per zone; public ones and a way out as `egress` asks for.

    Endpoints reach the cache and nothing else; the warm-up also reaches the Hub over HTTPS.
    Raises RunError where the region has fewer zones than `az_count`.
    """

    vpc_id: pulumi.Output[str]
    private_subnet_ids: list[pulumi.Output[str]]
    private_route_table_ids: list[pulumi.Output[str]]
    cache_group_id: pulumi.Output[str]
    cache_rules: list[pulumi.Resource]
    """What lets the functions in: only with them is an available mount target one that can be reached."""
    endpoint_group_id: pulumi.Output[str]
    download_group_id: pulumi.Output[str]
    dual_stack: bool

    def __init__(
        self, name: str, *, az_count: int, egress: str, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("hf-lambda:infra:Network", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        self.dual_stack = egress == "ipv6"
        self._zones = self._first_zones(az_count)
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=VPC_CIDR,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            assign_generated_ipv6_cidr_block=self.dual_stack or None,
            tags={"Name": f"{pulumi.get_project()}-{pulumi.get_stack()}"},
            opts=self._child,
        )
        self.vpc_id = self._vpc.id
        # Left alone, AWS's own default group lets everything in it talk to everything.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=self.vpc_id, opts=self._child)
        route_tables = self._private_subnets()
        self.private_route_table_ids = [table.id for table in route_tables]
        if egress != "none":
            Egress(
                f"{name}-egress",
                egress=egress,
                vpc_id=self.vpc_id,
                zones=self._zones,
                private_route_table_ids=self.private_route_table_ids,
                opts=self._child,
            )
        self._security_groups(egress)
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnetIds": self.private_subnet_ids})

    def _first_zones(self, az_count: int) -> list[str]:
        zones = aws.get_availability_zones(
            state="available",
            # Local zones have neither EFS nor Lambda.
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOptions(parent=self),
        )
        if az_count > len(zones.names):
            raise pulumi.RunError(f"azCount is {az_count}; must be at most {len(zones.names)} in this region")
        return sorted(zones.names)[:az_count]

    def _private_subnets(self) -> list[aws.ec2.RouteTable]:
        """One route table for each, so that a change of `egress` moves routes and replaces nothing."""
        self.private_subnet_ids, tables = [], []
        for index, zone in enumerate(self._zones):
            label = f"{self._name}-private-{index}"
            subnet = aws.ec2.Subnet(
                label,
                vpc_id=self.vpc_id,
                availability_zone=zone,
                cidr_block=private_cidr(index),
                ipv6_cidr_block=self._ipv6_cidr(index) if self.dual_stack else None,
                tags={"Name": f"{pulumi.get_project()}-{pulumi.get_stack()}-private-{zone}"},
                opts=self._child,
            )
            table = aws.ec2.RouteTable(label, vpc_id=self.vpc_id, opts=self._child)
            aws.ec2.RouteTableAssociation(
                label, subnet_id=subnet.id, route_table_id=table.id, opts=self._child
            )
            self.private_subnet_ids.append(subnet.id)
            tables.append(table)
        return tables

    def _ipv6_cidr(self, index: int) -> pulumi.Output[str]:
        return self._vpc.ipv6_cidr_block.apply(lambda block: ipv6_cidr(block, index))

    def _security_groups(self, egress: str) -> None:
        cache = self._group("cache", "Mount targets of the model cache: NFS from the functions")
        endpoint = self._group("endpoints", "Endpoints: the model cache and nothing else")
        download = self._group("downloads", "What fills the cache: the cache and, over HTTPS, the Hub")
        self.cache_group_id, self.endpoint_group_id, self.download_group_id = (
            cache.id,
            endpoint.id,
            download.id,
        )
        self.cache_rules = []
        for label, group in (("endpoints", endpoint), ("downloads", download)):
            nfs: dict[str, Any] = {"ip_protocol": "tcp", "from_port": 2049, "to_port": 2049}
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-{label}-nfs",
                security_group_id=group.id,
                referenced_security_group_id=cache.id,
                description="The model cache",
                opts=self._child,
                **nfs,
            )
            rule = aws.vpc.SecurityGroupIngressRule(
                f"{self._name}-{label}-nfs",
                security_group_id=cache.id,
                referenced_security_group_id=group.id,
                description=f"NFS from {label}",
                opts=self._child,
                **nfs,
            )
            self.cache_rules.append(rule)
        if egress != "none":
            # The Hub's storage hosts have no fixed addresses: any host, but HTTPS alone.
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-downloads-https",
                security_group_id=download.id,
                cidr_ipv6="::/0" if self.dual_stack else None,
                cidr_ipv4=None if self.dual_stack else "0.0.0.0/0",
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description="The Hub",
                opts=self._child,
            )

    def _group(self, label: str, description: str) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{self._name}-{label}", vpc_id=self.vpc_id, description=description, opts=self._child
        )
