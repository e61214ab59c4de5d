"""Downloads from a Maven repository, also from behind a company's proxy.

Rules:
- TLS trusts what the operating system trusts (truststore). The proxy is that of HTTPS_PROXY, HTTP_PROXY and NO_PROXY.
- Pins decide what a jar is. So a repository, a mirror or a proxy can refuse, but cannot falsify.
- What a repetition may mend is tried again; a refusal is not.
"""

import base64
import hashlib
import ssl
import time
from functools import cached_property
from http.client import HTTPException, IncompleteRead
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from worker.broker.errors import BrokerError
from worker.broker.failures import Way, may_pass
from worker.broker.pins import Jar
from worker.broker.proxies import proxy_of, without_user

TIMEOUT_S = 20.0
"""Seconds that a repository or a proxy may be silent."""

_TRIES = 3
_PAUSE_S = 0.2


class Repository:
    """A Maven repository.

    Args:
        mirror: its base URL, with user:password@ where it asks for them. None: Maven Central.
        timeout_s: seconds that it may be silent.
    """

    def __init__(self, mirror: str | None = None, timeout_s: float = TIMEOUT_S) -> None:
        self._mirror = mirror
        self._timeout_s = timeout_s

    def fetch(self, jar: Jar, target: Path) -> None:
        """Write a jar's bytes, which have its SHA-256, into a file. Raises BrokerError, or OSError for the file."""
        target.write_bytes(self._genuine(jar))

    @cached_property
    def _parts(self) -> SplitResult:
        return urlsplit(self._mirror or _maven_central())

    @property
    def _base(self) -> str:
        return self._parts._replace(netloc=without_user(self._parts)).geturl().rstrip("/")

    def _genuine(self, jar: Jar) -> bytes:
        tries_left = _TRIES
        while True:
            tries_left -= 1
            redirects = _Redirects(f"{self._base}/{jar.path}")
            try:
                data = self._read(redirects, jar)
            except (OSError, HTTPException, ValueError) as error:
                if isinstance(error, HTTPError):
                    error.close()  # it holds the connection
                if not (tries_left and may_pass(error)):
                    # Not chained: the texts of libraries may quote a URL with its password.
                    raise BrokerError(self._way(redirects).failed(error)) from None
                time.sleep(_PAUSE_S)
            else:
                if hashlib.sha256(data).hexdigest() != jar.sha256:
                    raise BrokerError(self._way(redirects).falsified(jar.coordinate))
                return data

    def _read(self, redirects: "_Redirects", jar: Jar) -> bytes:
        request = Request(redirects.url)  # noqa: S310  # http or https: the settings check it
        if authorization := _basic(self._parts):
            request.add_unredirected_header("Authorization", authorization)
        if proxy := proxy_of(redirects.url):
            proxy.check()
        # A context for each download: truststore holds a lock of the context during the handshake.
        tls = HTTPSHandler(context=_system_trust())
        with build_opener(redirects, tls).open(request, timeout=self._timeout_s) as answer:
            data: bytes = answer.read(jar.size + 1)
            if len(data) < jar.size and answer.length:
                raise IncompleteRead(data, answer.length)
            return data

    def _way(self, redirects: "_Redirects") -> Way:
        return Way(redirects.url, self._mirror is not None, self._timeout_s)


class _Redirects(HTTPRedirectHandler):
    """Follows redirects, and remembers where a download is now, so that an error names the host that failed."""

    def __init__(self, url: str) -> None:
        self.url = url

    def redirect_request(  # as in the library
        self, req: Request, fp: object, code: int, msg: str, headers: object, newurl: str
    ) -> Request | None:
        request = super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]
        if request is not None:
            self.url = request.full_url
        return request


def _maven_central() -> str:
    from jgo.constants import MAVEN_CENTRAL_URL  # slow to import, and only needed on the very first start

    return str(MAVEN_CENTRAL_URL)


def _system_trust() -> ssl.SSLContext:
    import truststore  # only needed on the very first start

    return truststore.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _basic(parts: SplitResult) -> str | None:
    if parts.username is None:
        return None
    pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
    return f"Basic {base64.b64encode(pair.encode()).decode()}"
