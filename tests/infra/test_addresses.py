"""Blocks of addresses: inside the VPC's, and apart from one another."""

import itertools
from ipaddress import IPv4Network, IPv6Network

from hypothesis import given
from hypothesis import strategies as st

from infra.network import VPC_CIDR, ipv6_cidr, private_cidr, public_cidr

ZONES = range(6)


def test_no_two_subnets_overlap_and_all_lie_in_the_vpc():
    blocks = [IPv4Network(cidr(zone)) for zone in ZONES for cidr in (private_cidr, public_cidr)]
    assert not [pair for pair in itertools.combinations(blocks, 2) if pair[0].overlaps(pair[1])]
    assert all(block.subnet_of(IPv4Network(VPC_CIDR)) for block in blocks)


@given(st.integers(min_value=0, max_value=2**56 - 1))
def test_every_zone_gets_its_own_64_of_the_vpcs_56(prefix: int):
    vpc = IPv6Network((prefix << 72, 56))
    blocks = [IPv6Network(ipv6_cidr(str(vpc), zone)) for zone in ZONES]
    assert len(set(blocks)) == len(blocks)
    assert all(block.prefixlen == 64 and block.subnet_of(vpc) for block in blocks)


def test_what_is_no_block_is_left_alone():
    assert ipv6_cidr("${aws_vpc.network.ipv6_cidr_block}", 1) == "${aws_vpc.network.ipv6_cidr_block}"
