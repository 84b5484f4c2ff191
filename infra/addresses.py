"""How the VPC's addresses are shared out: plain arithmetic, no resources."""

import ipaddress

VPC_CIDR = "10.0.0.0/16"


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
