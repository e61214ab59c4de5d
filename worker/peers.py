"""The URLs that other workers of the application may have. Requests and their tokens are forwarded to no other URL.

Every member of the consumer group names its own URL. So membership alone is no reason to send it a token.

PEER_URLS is a list of `scheme://host[:port]`, separated by commas. In a host, `*` matches letters, digits, dashes and
underscores, but no dot. As a port, `*` matches any port. Without a port the scheme's default port is meant.

Without PEER_URLS the scheme must be that of this worker's own URL, and the host must be one of these:

- any loopback name or address, on any port, if this worker's host is a loopback one, too;
- this worker's host, on any port;
- on this worker's ports, an address of the same network, if this worker's host is an address. A network is the first 24
  bits of IPv4, or 64 of IPv6;
- on this worker's ports, a name of one label, if this worker's host is one, as in Docker Compose;
- on this worker's ports, a name that differs only in its first label, as in a StatefulSet. It does not apply if
  anybody can register names below the rest (one label, or such as co.uk).

This worker's ports are the one of its URL, and the next one for each process if it has several.
"""

import ipaddress
import re
from collections.abc import Callable, Collection
from functools import lru_cache

import msgspec
from yarl import URL

from worker.addresses import Address, address_of, is_loopback, plain

_PATTERN = re.compile(r"(https?)://(\[[0-9a-f:.]+\]|[a-z0-9_.*-]+)(?::([0-9]{1,5}|\*))?/?", re.IGNORECASE)
_LABEL = "[a-z0-9_-]+"
_ONE_LABEL = re.compile(r"(?!0x)[a-z0-9_-]*[a-z][a-z0-9_-]*")
_PORTS = {"http": 80, "https": 443}
# Second-level labels under which registries of countries register names.
_REGISTRIES = frozenset({"ac", "co", "com", "edu", "gob", "gov", "go", "net", "ne", "or", "org"})


class _Allowed(msgspec.Struct, frozen=True):
    """One allowed form of URL. scheme: http or https; accepts: a test of a plain host; ports: empty for any."""

    scheme: str
    accepts: Callable[[str], bool]
    ports: Collection[int]

    def matches(self, url: URL) -> bool:
        return (
            url.scheme == self.scheme
            and (not self.ports or url.port in self.ports)
            and self.accepts(plain(url.raw_host or ""))
        )


class Peers:
    """The URLs that owners of partitions may have.

    Args:
        own: this worker's URL.
        patterns: PEER_URLS, empty for the default.
        processes: the number of this worker's processes.
    """

    def __init__(self, own: str, patterns: str, processes: int = 1) -> None:
        allowed = [_parsed(pattern) for pattern in split(patterns)] or _like(URL(own), processes)

        @lru_cache(maxsize=256)
        def base_of(url: str) -> str | None:
            try:
                found = URL(url)
                bare = found.is_absolute() and found.user is None and found.password is None
                if not bare or found.raw_query_string or found.raw_fragment:
                    return None
                return str(found).rstrip("/") if any(each.matches(found) for each in allowed) else None
            except ValueError:
                return None

        self._base_of = base_of

    def base_of(self, url: str) -> str | None:
        """The URL without a final slash, so a path can be appended; None when a worker may not have that URL."""
        return self._base_of(url)


def split(patterns: str) -> list[str]:
    """The patterns of PEER_URLS. Raises ValueError when one of them is invalid."""
    found = [pattern.strip() for pattern in patterns.split(",")] if patterns.strip() else []
    for pattern in found:
        _parsed(pattern)
    return found


def _parsed(pattern: str) -> _Allowed:
    match = _PATTERN.fullmatch(pattern)
    if match is None:
        raise ValueError("give URLs such as http://*.workers.example:6066, separated by commas")
    scheme, host, port = match[1].lower(), plain(match[2]).strip("[]"), match[3]
    if ":" in host:
        wanted = ipaddress.ip_address(host)
        accepts = lambda given: address_of(given) == wanted  # noqa: E731
    else:
        form = re.compile(re.escape(host).replace(r"\*", _LABEL))
        accepts = lambda given: form.fullmatch(given) is not None  # noqa: E731
    return _Allowed(scheme, accepts, () if port == "*" else (int(port or _PORTS[scheme]),))


def _like(own: URL, processes: int) -> list[_Allowed]:
    host, scheme, first = plain(own.raw_host or ""), own.scheme, own.port or _PORTS[own.scheme]
    if is_loopback(host):
        return [_Allowed(scheme, is_loopback, ())]
    return [
        _Allowed(scheme, lambda given: given == host, ()),
        _Allowed(scheme, _neighbours(host), range(first, first + (1 if processes == 1 else 1 + processes))),
    ]


def _neighbours(host: str) -> Callable[[str], bool]:
    address = address_of(host)
    if address is not None:
        network = ipaddress.ip_network((address, 24 if address.version == 4 else 64), strict=False)
        return lambda given: _is_in(network, address_of(given))
    _, dot, domain = host.partition(".")
    if not dot:
        return lambda given: bool(_ONE_LABEL.fullmatch(given)) and not is_loopback(given)
    if _is_public(domain):
        return lambda given: False
    return lambda given: given.partition(".")[2] == domain and address_of(given) is None


def _is_in(network: ipaddress.IPv4Network | ipaddress.IPv6Network, address: Address | None) -> bool:
    return address is not None and address.version == network.version and address in network


def _is_public(domain: str) -> bool:
    labels = domain.split(".")
    return len(labels) == 1 or (len(labels) == 2 and len(labels[1]) == 2 and labels[0] in _REGISTRIES)
