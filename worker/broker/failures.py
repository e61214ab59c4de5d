"""Why a jar could not be fetched: one sentence that names the host, certificate or proxy, and what to set.

No sentence contains a user name, a password, or the text of a library's error, which may quote a URL.
"""

import re
import socket
import ssl
from http.client import InvalidURL
from typing import NamedTuple
from urllib.error import HTTPError
from urllib.parse import urlsplit

from worker.broker.proxies import BadProxy, Proxy, proxy_of, without_user

MIRROR_VARIABLE = "CUSTOMER_CONTEXT_KAFKA_MIRROR"

_PROXY_FORM = "http://USER:PASSWORD@proxy.example.com:3128"
_NEEDS_PASSWORD = 407
_TUNNEL_REFUSED = re.compile(r"Tunnel connection failed: (\d+)")  # the one sign that http.client gives


class Way(NamedTuple):
    """The way to a jar: its URL, whether that is a mirror's, and the seconds that a host may be silent."""

    url: str
    is_mirror: bool
    timeout_s: float

    @property
    def host(self) -> str:
        """The host that has the jar, with its port if the URL names one."""
        return without_user(urlsplit(self.url))

    def failed(self, error: Exception) -> str:
        """The sentence for an error of urllib."""
        proxy, cause = proxy_of(self.url), cause_of(error)
        told = (proxy and self._by_proxy(proxy, cause)) or self._by_host(proxy, cause)
        return f"Kafka cannot be fetched: {told}."

    def falsified(self, coordinate: str) -> str:
        """The sentence for a download that has another SHA-256."""
        return (
            f"Kafka cannot be fetched: {self.host} sends something else than {coordinate}, such as a login page, "
            f"because its SHA-256 is not the expected one; {self._check(proxy_of(self.url))}."
        )

    def _by_proxy(self, proxy: Proxy, cause: Exception) -> str | None:
        if isinstance(cause, BadProxy | InvalidURL):
            return (
                f"{proxy.variable} is not a URL such as {_PROXY_FORM}; "
                "write special characters of the password as %40 and the like"
            )
        status = refused_by_proxy(cause)
        if status == _NEEDS_PASSWORD:
            return (
                f"the proxy {proxy.address} asks for a user name and a password that it accepts ({status}); "
                f"set {proxy.variable} to {_PROXY_FORM}"
            )
        if status is not None:
            return f"the proxy {proxy.address} does not let this machine reach {self.host} ({status}); {self._mirror()}"
        return None

    def _by_host(self, proxy: Proxy | None, cause: Exception) -> str:
        host, check = self.host, self._check(proxy)
        nearest = f"the proxy {proxy.address}" if proxy else host
        if isinstance(cause, HTTPError):
            return self._status(cause.code, check)
        if isinstance(cause, ssl.SSLCertVerificationError):
            return (
                f"the certificate of {host} is not trusted ({cause.verify_message}); put the certificate of your "
                "company's authority into the system's trust store, or on Linux name its file in SSL_CERT_FILE"
            )
        if isinstance(cause, ssl.SSLError):
            return f"{host} does not speak TLS ({cause.reason or type(cause).__name__}); {check}"
        if isinstance(cause, socket.gaierror):
            return f"{nearest} is not found by name; {check}"
        if isinstance(cause, ConnectionRefusedError):
            return f"{nearest} refuses the connection; {check}"
        asked = f"{host}, asked through {nearest}," if proxy else host
        if isinstance(cause, TimeoutError):
            return f"{asked} did not answer within {self.timeout_s:g} s; {check}"
        return f"{asked} broke the connection off ({type(cause).__name__}); {check}"

    def _status(self, status: int, check: str) -> str:
        if status in (401, 403) and self.is_mirror:
            return f"{self.host} refuses ({status}); put USER:PASSWORD@ before the host in {MIRROR_VARIABLE}"
        return f"{self.host} answers with status {status} in place of a jar; {check}"

    def _check(self, proxy: Proxy | None) -> str:
        if proxy:
            return f"check {proxy.variable}, or {self._mirror()}"
        if self.is_mirror:
            return f"check {MIRROR_VARIABLE}"
        return f"behind a company's proxy set HTTPS_PROXY, or {self._mirror()}; without a network see docs/offline.md"

    def _mirror(self) -> str:
        if self.is_mirror:
            return f"check {MIRROR_VARIABLE}"
        return f"set {MIRROR_VARIABLE} to a Maven repository of your company"


def may_pass(error: Exception) -> bool:
    """Whether the same request may succeed soon. A refusal does not, because a wrong password would lock an account."""
    cause = cause_of(error)
    if isinstance(cause, HTTPError):
        return cause.code >= 500
    hopeless = isinstance(cause, ssl.SSLCertVerificationError | ValueError | InvalidURL)
    return not hopeless and refused_by_proxy(cause) is None


def refused_by_proxy(error: Exception) -> int | None:
    """The status by which a proxy, and not the host behind it, refused."""
    if isinstance(error, HTTPError):
        return error.code if error.code == _NEEDS_PASSWORD else None
    found = _TUNNEL_REFUSED.match(str(error))
    return int(found[1]) if found else None


def cause_of(error: Exception) -> Exception:
    """What happened below HTTP, which urllib wraps."""
    reason = getattr(error, "reason", None)
    return reason if isinstance(reason, Exception) else error
