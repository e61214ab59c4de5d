"""The proxy of the environment: HTTPS_PROXY, HTTP_PROXY and NO_PROXY, as urllib reads them.

Its URL may hold a password, so only its host and port are ever shown.
"""

from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass


class BadProxy(ValueError):
    """The variable is no URL of a proxy: a part of its password could be taken for its host, its port or its path."""


class Proxy(NamedTuple):
    """A proxy: the variable that names it, and its URL with a password in it, if it has one."""

    variable: str
    url: str

    @property
    def address(self) -> str:
        """Its host and port, without user name and password. To be shown after a check only."""
        return without_user(urlsplit(self.url))

    def check(self) -> None:
        """Raise BadProxy for what is no URL of a proxy."""
        parts = urlsplit(self.url)
        try:
            good = bool(parts.hostname) and parts.port != 0
        except ValueError:  # its text would contain the given port
            good = False
        if not good or "@" in f"{parts.path}{parts.query}{parts.fragment}":
            raise BadProxy


def proxy_of(url: str) -> Proxy | None:
    """The proxy by which urllib asks for an http or https URL; None without one."""
    parts = urlsplit(url)
    proxy = getproxies().get(parts.scheme)
    if not proxy or proxy_bypass(without_user(parts)):
        return None
    return Proxy(f"{parts.scheme.upper()}_PROXY", proxy if "://" in proxy else f"//{proxy}")


def without_user(parts: SplitResult) -> str:
    """Host and port of a URL, without user name and password."""
    return parts.netloc.rpartition("@")[2]
