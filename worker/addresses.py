"""Comparison of host names and IP addresses, for settings, HTTP's `Host` header and URLs of other workers."""

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def plain(host: str) -> str:
    """A host name in the form that is compared: lower case, without a final dot."""
    return host.lower().removesuffix(".")


def address_of(host: str) -> Address | None:
    """The IP address of a host that is written as one, without brackets; None for a name. ::ffff:a.b.c.d is a.b.c.d."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def is_loopback(host: str) -> bool:
    """Whether a name or an address, without brackets, always means this machine: localhost or a loopback address."""
    address = address_of(host)
    return plain(host) == "localhost" if address is None else address.is_loopback


def is_wildcard(host: str) -> bool:
    """Whether a server that binds this host listens on every address of the machine."""
    address = address_of(host)
    return address is not None and address.is_unspecified
