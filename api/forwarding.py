"""A request for a customer that another worker owns goes to that worker, once.

Rules:
- A request that carries the hop header is never forwarded again, so no loop is possible. A client that sends the
  header itself only gives up forwarding; nothing is trusted because of it.
- What failed before it was sent (no connection) is told apart from what may have arrived: only the first is safe to
  answer with 503.
- The path goes on percent-encoded as it came, for command ids depend on it.
"""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp
import msgspec
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from api.headers import HOP

CONNECT_SECONDS = 1.0
READ_SECONDS = 2.0
WRITE_SECONDS = 5.5  # the owner answers within 5 s, with 202 if nothing else
IDLE_SECONDS = 4.0  # shorter than the server keeps idle connections

_ANSWER_HEADERS = (
    "Content-Type",
    "Location",
    "ETag",
    "Cache-Control",
    "Warning",
    "Age",
    "Retry-After",
    "WWW-Authenticate",
)
_REQUEST_HEADERS = ("Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key")


class OwnerUnreachable(Exception):
    """The owner did not answer. maybe_sent: whether the request may have reached it all the same."""

    def __init__(self, maybe_sent: bool) -> None:
        super().__init__("the owner did not answer")
        self.maybe_sent = maybe_sent


class Forwarded(msgspec.Struct, frozen=True):
    """What the owner answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def response(self) -> web.Response:
        """The same answer for our own client."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class Forwarder:
    """Keeps connections to the other workers while running()."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Connections may be made until the block ends."""
        connector = aiohttp.TCPConnector(limit=0, limit_per_host=512, keepalive_timeout=IDLE_SECONDS)
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as self._session:
            yield

    async def send(
        self,
        request: web.Request,
        owner: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str],
        seconds: float,
    ) -> Forwarded:
        """The owner's answer to this request. headers: added to those that travel on.

        Raises OwnerUnreachable.
        """
        method = "GET" if request.method == "HEAD" else request.method
        outgoing = _outgoing(request, _REQUEST_HEADERS, headers)
        return await self._exchange(method, owner + target_of(request), body, outgoing, seconds)

    async def fetch(
        self, request: web.Request, url: str, *, headers: Mapping[str, str], seconds: float
    ) -> Forwarded:
        """The answer to a GET of another URL on behalf of who made this request. Raises OwnerUnreachable."""
        return await self._exchange("GET", url, b"", _outgoing(request, ("Authorization",), headers), seconds)

    async def _exchange(
        self, method: str, url: str, body: bytes, headers: CIMultiDict[str], seconds: float
    ) -> Forwarded:
        if self._session is None:
            raise RuntimeError("the forwarder is not running")
        timeout = aiohttp.ClientTimeout(total=seconds, connect=CONNECT_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            async with self._session.request(
                method,
                URL(url, encoded=True),
                data=body or None,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                content = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            raise OwnerUnreachable(maybe_sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise OwnerUnreachable(maybe_sent=True) from None
        kept = {name: answer.headers[name] for name in _ANSWER_HEADERS if name in answer.headers}
        return Forwarded(answer.status, kept, content)


def target_of(request: web.Request) -> str:
    """The path and query as sent, also when the request line held a whole URL."""
    raw = request.raw_path
    if raw.startswith("/"):
        return raw.partition("#")[0]
    parts = urlsplit(raw)
    return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"


def path_of(request: web.Request) -> str:
    """The path as sent, without the query."""
    return target_of(request).partition("?")[0]


def _outgoing(request: web.Request, names: Sequence[str], added: Mapping[str, str]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name in names:
        for value in request.headers.getall(name, ()):
            headers.add(name, value)
    for name, value in added.items():
        headers[name] = value
    headers[HOP] = "1"
    return headers
