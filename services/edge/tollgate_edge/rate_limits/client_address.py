"""The client's address, and whether a key may be used from it.

`X-Forwarded-For` is trusted only as far as trusted proxies wrote it. Read from the end, the first address outside their
networks is the client's. Clients can forge everything before it.
"""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Any

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_FORWARDED = b"x-forwarded-for"


@lru_cache(maxsize=4096)
def parse_networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    """Parse networks in CIDR notation, or single addresses.

    Raises:
        ValueError: a text is neither.
    """
    return tuple(ip_network(text, strict=False) for text in texts)


def client_address(scope: Mapping[str, Any], trusted: tuple[Network, ...]) -> Address | None:
    """Return the client's address; None if it is unknown, for example over a Unix socket.

    Args:
        scope: the ASGI scope of the request.
        trusted: networks of the proxies in front of this edge.
    """
    peer = scope.get("client")
    address = _parse(str(peer[0])) if peer else None
    hops = [hop for name, value in scope["headers"] if name == _FORWARDED for hop in value.decode("latin-1").split(",")]
    while address is not None and hops and is_within(address, trusted):
        address = _parse(hops.pop())
    return address


def is_within(address: Address | None, allowed: tuple[Network, ...]) -> bool:
    return address is not None and any(address in network for network in allowed)


def _parse(text: str) -> Address | None:
    try:
        address = ip_address(text.strip())
    except ValueError:
        return None
    # A dual-stack socket reports IPv4 clients as IPv4-mapped addresses.
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
