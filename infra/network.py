"""The network: subnets over the zones, who may talk to whom, ways out; or one that is there already."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

import pulumi
import pulumi_aws as aws

from hf_lambda.records import Json

from .encryption import Encryption
from .existing_network import CACHE_GROUP, ExistingNetwork
from .naming import flow_log_group_name, name_tag, stack_prefix
from .role import ExecutionRole, add_policy, make_log_group, make_role
from .settings import Settings

VPC_CIDR = "10.0.0.0/16"
_KEEP_ZONE = pulumi.ResourceOptions(ignore_changes=["availabilityZone"])
"""The list of zones changes while one is impaired: that must not replace a subnet under a running stack."""


class Network(pulumi.ComponentResource):
    """VPC with a private subnet per zone; public ones and a way out as `egress` asks for.

    In an existing network these are there, and it makes security groups alone. Endpoints reach the cache and
    nothing else; the warm-up also reaches the Hub over HTTPS, or a bucket where models are staged.
    Raises RunError where the region has not the zones that are asked for.
    """

    existing: ExistingNetwork | None
    vpc_id: pulumi.Output[str]
    private_subnet_ids: list[pulumi.Output[str]]
    """Of the functions, one in each zone."""
    tables_without_s3: list[pulumi.Output[str]]
    """Their route tables, without those in which S3 can be reached already."""
    s3_prefix_list_id: pulumi.Output[str] | None
    """The addresses of S3, where nothing has to be made to reach them."""
    mount_places: Mapping[str, pulumi.Output[str]]
    """The subnets in which the cache needs mount targets of its own, by what tells them apart."""
    cache_group_id: pulumi.Output[str] | None
    """Of those mount targets; None where they are all there already."""
    cache_rules: list[pulumi.Resource]
    """What lets the functions in: only with them is an available mount target one that can be reached."""
    endpoint_group_id: pulumi.Output[str]
    download_group_id: pulumi.Output[str]
    dual_stack: bool

    def __init__(
        self,
        name: str,
        *,
        settings: Settings,
        existing: ExistingNetwork | None,
        roles: Sequence[ExecutionRole],  # of the functions that will run in it
        encryption: Encryption,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:Network", name, None, opts)
        self._name = name
        self._child = pulumi.ResourceOptions(parent=self)
        # Lambda deletes a function's network interfaces with the function's role, long after the function is
        # gone: what they lie in is destroyed before the role is.
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html
        self._holds_interfaces = pulumi.ResourceOptions(parent=self, depends_on=list(roles))
        self.existing, self.dual_stack = existing, settings.egress == "ipv6"
        if existing:
            self._use(existing)
        else:
            self._make(settings)
            if settings.flow_logs:
                FlowLogs(
                    f"{name}-flow",
                    vpc_id=self.vpc_id,
                    settings=settings,
                    encryption=encryption,
                    opts=self._child,
                )
        self._security_groups(settings)
        self.register_outputs({"vpcId": self.vpc_id, "privateSubnetIds": self.private_subnet_ids})

    def _use(self, existing: ExistingNetwork) -> None:
        self.vpc_id = pulumi.Output.from_input(existing.vpc_id)
        subnets = {each.zone: pulumi.Output.from_input(each.id) for each in existing.subnets}
        self.private_subnet_ids = list(subnets.values())
        self.tables_without_s3 = [pulumi.Output.from_input(each) for each in existing.tables_without_s3]
        prefix_list_id = existing.s3_prefix_list_id
        self.s3_prefix_list_id = pulumi.Output.from_input(prefix_list_id) if prefix_list_id else None
        there = existing.file_system.group_of_zone if existing.file_system else {}
        self.mount_places = {zone: subnet_id for zone, subnet_id in subnets.items() if zone not in there}

    def _make(self, settings: Settings) -> None:
        name = self._name
        self._zones = self._choose_zones(settings)
        self._vpc = aws.ec2.Vpc(
            name,
            cidr_block=VPC_CIDR,
            enable_dns_support=True,
            enable_dns_hostnames=True,
            # Always, and so in every private subnet: it is free, and a block cannot leave a VPC while a
            # subnet has a part of it, so a mode of `egress` without it could not follow one with it
            # (https://github.com/hashicorp/terraform-provider-aws/issues/40791).
            assign_generated_ipv6_cidr_block=True,
            tags={"Name": stack_prefix()},
            opts=pulumi.ResourceOptions(parent=self, protect=settings.protect),
        )
        self.vpc_id = self._vpc.id
        # Left alone, AWS's own default group lets everything in it talk to everything.
        aws.ec2.DefaultSecurityGroup(f"{name}-default", vpc_id=self.vpc_id, opts=self._child)
        tables = [table.id for table in self._private_subnets()]
        self.tables_without_s3, self.s3_prefix_list_id = tables, None
        self.mount_places = {str(index): subnet_id for index, subnet_id in enumerate(self.private_subnet_ids)}
        if not settings.is_staged:
            Egress(
                f"{name}-egress",
                egress=settings.egress,
                vpc_id=self.vpc_id,
                zones=self._zones,
                private_route_table_ids=tables,
                opts=self._child,
            )

    def _choose_zones(self, settings: Settings) -> list[str]:
        """The zones of new subnets; those that exist stay where they are (see `_KEEP_ZONE`)."""
        found = aws.get_availability_zones(
            state="available",
            # Local zones have neither EFS nor Lambda.
            filters=[{"name": "opt-in-status", "values": ["opt-in-not-required"]}],
            opts=pulumi.InvokeOptions(parent=self),
        )
        names = sorted(found.names)
        unknown = [zone for zone in settings.zones if zone not in names]
        if unknown:
            raise pulumi.RunError(f"zones has {', '.join(unknown)}; must be some of {', '.join(names)}")
        if settings.az_count > len(names):
            raise pulumi.RunError(
                f"azCount is {settings.az_count}; must be at most {len(names)} in this region"
            )
        return list(settings.zones) or names[: settings.az_count]

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
                ipv6_cidr_block=self._ipv6_cidr(index),
                tags={"Name": name_tag(f"private-{index}")},
                opts=pulumi.ResourceOptions.merge(self._holds_interfaces, _KEEP_ZONE),
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

    def _security_groups(self, settings: Settings) -> None:
        endpoint = self._group("endpoints", "Endpoints: the model cache and nothing else")
        download = self._group("downloads", "What fills the cache: the cache and, over HTTPS, the Hub")
        self.endpoint_group_id, self.download_group_id = endpoint.id, download.id
        targets: dict[str, pulumi.Input[str]] = {}
        """Groups of the mount targets, by what the names of their rules end in."""
        self.cache_group_id = None
        if self.mount_places:
            of_cache = "Mount targets of the model cache: NFS from the functions"
            tag = {"Name": name_tag(CACHE_GROUP)} if self.existing else None
            self.cache_group_id = self._group("cache", of_cache, tags=tag).id
            targets[""] = self.cache_group_id
        if self.existing and self.existing.file_system:
            zones = {each.zone for each in self.existing.subnets}
            of_zone = self.existing.file_system.group_of_zone
            targets |= {f"-{group}": group for zone, group in of_zone.items() if zone in zones}
        self.cache_rules = [
            self._let_nfs(f"{self._name}-{label}-nfs{suffix}", label, group.id, target)
            for label, group in (("endpoints", endpoint), ("downloads", download))
            for suffix, target in targets.items()
        ]
        if not settings.is_staged:
            # The Hub's storage hosts have no fixed addresses: any host, but HTTPS alone. A rule of one family
            # of addresses cannot become one of the other, so each has its own name.
            ipv6 = self.dual_stack
            aws.vpc.SecurityGroupEgressRule(
                f"{self._name}-downloads-https{'-ipv6' if ipv6 else ''}",
                security_group_id=download.id,
                cidr_ipv6="::/0" if ipv6 else None,
                cidr_ipv4=None if ipv6 else "0.0.0.0/0",
                ip_protocol="tcp",
                from_port=443,
                to_port=443,
                description="The Hub",
                opts=self._child,
            )

    def _let_nfs(
        self, name: str, label: str, group_id: pulumi.Input[str], target_id: pulumi.Input[str]
    ) -> pulumi.Resource:
        """From a group of functions to one of mount targets; the rule that lets it in."""
        nfs: dict[str, Json] = {"ip_protocol": "tcp", "from_port": 2049, "to_port": 2049}
        aws.vpc.SecurityGroupEgressRule(
            name,
            security_group_id=group_id,
            referenced_security_group_id=target_id,
            description="The model cache",
            opts=self._child,
            **nfs,
        )
        return aws.vpc.SecurityGroupIngressRule(
            name,
            security_group_id=target_id,
            referenced_security_group_id=group_id,
            description=f"NFS from {label}",
            opts=self._child,
            **nfs,
        )

    def _group(
        self, label: str, description: str, tags: Mapping[str, str] | None = None
    ) -> aws.ec2.SecurityGroup:
        return aws.ec2.SecurityGroup(
            f"{self._name}-{label}",
            vpc_id=self.vpc_id,
            description=description,
            tags=tags,
            opts=self._holds_interfaces,
        )


class Egress(pulumi.ComponentResource):
    """Default routes of the private subnets: `nat` (one gateway), `natPerAz` or `ipv6`."""

    def __init__(
        self,
        name: str,
        *,
        egress: str,
        vpc_id: pulumi.Input[str],
        zones: Sequence[str],
        private_route_table_ids: Sequence[pulumi.Input[str]],  # one for each zone
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:Egress", name, None, opts)
        self._name, self._vpc_id = name, vpc_id
        self._child = pulumi.ResourceOptions(parent=self)
        if egress == "ipv6":
            # Outbound alone, and without a price by the hour.
            gateway = aws.ec2.EgressOnlyInternetGateway(name, vpc_id=vpc_id, opts=self._child)
            for index, table_id in enumerate(private_route_table_ids):
                aws.ec2.Route(
                    f"{name}-{index}",
                    route_table_id=table_id,
                    destination_ipv6_cidr_block="::/0",
                    egress_only_gateway_id=gateway.id,
                    opts=self._child,
                )
        else:
            public = self._public_subnets(zones)
            nats = [
                self._nat(index, public[index]) for index in range(len(zones) if egress == "natPerAz" else 1)
            ]
            for index, table_id in enumerate(private_route_table_ids):
                aws.ec2.Route(
                    f"{name}-{index}",
                    route_table_id=table_id,
                    destination_cidr_block="0.0.0.0/0",
                    nat_gateway_id=nats[index % len(nats)].id,
                    opts=self._child,
                )
        self.register_outputs({})

    def _public_subnets(self, zones: Sequence[str]) -> list[tuple[aws.ec2.Subnet, aws.ec2.Route]]:
        """Subnets with the internet gateway's route that makes each of them public."""
        gateway = aws.ec2.InternetGateway(self._name, vpc_id=self._vpc_id, opts=self._child)
        table = aws.ec2.RouteTable(f"{self._name}-public", vpc_id=self._vpc_id, opts=self._child)
        route = aws.ec2.Route(
            f"{self._name}-public",
            route_table_id=table.id,
            destination_cidr_block="0.0.0.0/0",
            gateway_id=gateway.id,
            opts=self._child,
        )
        subnets = []
        for index, zone in enumerate(zones):
            label = f"{self._name}-public-{index}"
            subnet = aws.ec2.Subnet(
                label,
                vpc_id=self._vpc_id,
                availability_zone=zone,
                cidr_block=public_cidr(index),
                tags={"Name": name_tag(f"public-{index}")},
                opts=pulumi.ResourceOptions.merge(self._child, _KEEP_ZONE),
            )
            aws.ec2.RouteTableAssociation(
                label, subnet_id=subnet.id, route_table_id=table.id, opts=self._child
            )
            subnets.append((subnet, route))
        return subnets

    def _nat(self, index: int, public: tuple[aws.ec2.Subnet, aws.ec2.Route]) -> aws.ec2.NatGateway:
        subnet, internet_route = public
        address = aws.ec2.Eip(f"{self._name}-nat-{index}", domain="vpc", opts=self._child)
        return aws.ec2.NatGateway(
            f"{self._name}-nat-{index}",
            allocation_id=address.id,
            subnet_id=subnet.id,
            # A NAT gateway in a subnet that has no way out yet fails to start.
            opts=pulumi.ResourceOptions(parent=self, depends_on=[internet_route]),
        )


class FlowLogs(pulumi.ComponentResource):
    """Which connections there were in the VPC, accepted or rejected, in a log group."""

    def __init__(
        self,
        name: str,
        *,
        vpc_id: pulumi.Input[str],
        settings: Settings,
        encryption: Encryption,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("hf-lambda:infra:FlowLogs", name, None, opts)
        child = pulumi.ResourceOptions(parent=self)
        group = make_log_group(
            name,
            group_name=flow_log_group_name(),
            retention_days=settings.log_retention_days,
            encryption=encryption,
            parent=self,
        )
        # https://docs.aws.amazon.com/vpc/latest/userguide/flow-logs-iam-role.html
        role = make_role(
            name,
            service="vpc-flow-logs.amazonaws.com",
            description=f"Writes the flow logs of {stack_prefix()}",
            settings=settings,
            opts=child,
        )
        write = {
            "Sid": "WriteFlowLogs",
            "Effect": "Allow",
            "Action": [
                "logs:CreateLogStream",
                "logs:DescribeLogGroups",
                "logs:DescribeLogStreams",
                "logs:PutLogEvents",
            ],
            "Resource": [group.arn, pulumi.Output.concat(group.arn, ":*")],
        }
        policy = add_policy(name, role, [write], child)
        aws.ec2.FlowLog(
            name,
            vpc_id=vpc_id,
            traffic_type="ALL",
            log_destination=group.arn,
            iam_role_arn=role.arn,
            opts=pulumi.ResourceOptions(parent=self, depends_on=[policy]),
        )
        self.register_outputs({})


def private_cidr(zone_index: int) -> str:
    """A /20 each: Lambda's network interfaces take addresses by the dozen."""
    return f"10.0.{16 * zone_index}.0/20"


def public_cidr(zone_index: int) -> str:
    """A /24 each, after the last private block: a NAT gateway is all that lies there."""
    return f"10.0.{240 + zone_index}.0/24"


def ipv6_cidr(vpc_block: str, zone_index: int) -> str:
    """The `zone_index`th /64 of the /56 that AWS gives a VPC; what is no block (a mock's) stays as it is."""
    try:
        block = ipaddress.IPv6Network(vpc_block)
    except ValueError:
        return vpc_block
    return str(ipaddress.IPv6Network((int(block.network_address) + (zone_index << 64), 64)))
