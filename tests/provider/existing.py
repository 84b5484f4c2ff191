"""A network that somebody has made before the stack comes: in an emulated AWS, by its own API."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Client = Callable[[str], Any]


@dataclass(frozen=True)
class Laid:
    """What was made, by id."""

    vpc: str
    subnets: tuple[str, ...]
    tables: tuple[str, ...]
    file_system: str

    def keys(self, **others: Any) -> dict[str, Any]:
        """The config of a stack that is deployed into it."""
        return {"vpcId": self.vpc, "subnetIds": [*self.subnets], "azCount": len(self.subnets), **others}


def lay_network(client: Client, zones: tuple[str, ...] = ("us-east-1a", "us-east-1b"), **dns: bool) -> Laid:
    """A VPC with a private subnet in each zone that leads to a NAT gateway and, for IPv6, outwards."""
    ec2 = client("ec2")
    vpc = ec2.create_vpc(CidrBlock="172.31.0.0/16", AmazonProvidedIpv6CidrBlock=True)["Vpc"]
    vpc_id, (block,) = vpc["VpcId"], vpc["Ipv6CidrBlockAssociationSet"]
    for name in ("EnableDnsSupport", "EnableDnsHostnames"):
        ec2.modify_vpc_attribute(VpcId=vpc_id, **{name: {"Value": dns.get(name, True)}})
    public = ec2.create_subnet(VpcId=vpc_id, CidrBlock="172.31.255.0/24", AvailabilityZone=zones[0])["Subnet"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc_id)
    address = ec2.allocate_address(Domain="vpc")["AllocationId"]
    nat = ec2.create_nat_gateway(SubnetId=public["SubnetId"], AllocationId=address)["NatGateway"]
    outwards = ec2.create_egress_only_internet_gateway(VpcId=vpc_id)["EgressOnlyInternetGateway"]
    subnets, tables = [], []
    for number, zone in enumerate(zones):
        subnet = ec2.create_subnet(
            VpcId=vpc_id,
            CidrBlock=f"172.31.{number}.0/24",
            Ipv6CidrBlock=block["Ipv6CidrBlock"].replace("00::/56", f"{number:02x}::/64"),
            AvailabilityZone=zone,
        )["Subnet"]["SubnetId"]
        table = ec2.create_route_table(VpcId=vpc_id)["RouteTable"]["RouteTableId"]
        ec2.associate_route_table(SubnetId=subnet, RouteTableId=table)
        ec2.create_route(
            RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", NatGatewayId=nat["NatGatewayId"]
        )
        ec2.create_route(
            RouteTableId=table,
            DestinationIpv6CidrBlock="::/0",
            EgressOnlyInternetGatewayId=outwards["EgressOnlyInternetGatewayId"],
        )
        subnets.append(subnet)
        tables.append(table)
    file_system = client("efs").create_file_system(CreationToken=vpc_id, Encrypted=True)["FileSystemId"]
    return Laid(vpc_id, tuple(subnets), tuple(tables), file_system)


def mount(client: Client, laid: Laid, place: int) -> str:
    """A mount target of the file system in one of the subnets; its security group."""
    group = client("ec2").create_security_group(
        GroupName=f"nfs-{laid.vpc}-{place}", Description="NFS", VpcId=laid.vpc
    )["GroupId"]
    client("efs").create_mount_target(
        FileSystemId=laid.file_system, SubnetId=laid.subnets[place], SecurityGroups=[group]
    )
    return str(group)


def s3_endpoint(client: Client, laid: Laid, *tables: str) -> str:
    made = client("ec2").create_vpc_endpoint(
        VpcId=laid.vpc,
        ServiceName="com.amazonaws.us-east-1.s3",
        VpcEndpointType="Gateway",
        RouteTableIds=[*tables],
    )
    return str(made["VpcEndpoint"]["VpcEndpointId"])
