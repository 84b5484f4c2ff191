"""Ways out of the private subnets: NAT gateways, or IPv6 without them."""

from __future__ import annotations

from collections.abc import Sequence

import pulumi
import pulumi_aws as aws

from .addresses import public_cidr


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
                tags={"Name": f"{pulumi.get_project()}-{pulumi.get_stack()}-public-{zone}"},
                opts=self._child,
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
