"""Forwards a request to the worker that owns the customer.

Rules:
- A forwarded request has the hop header and is never forwarded again, so no loop is possible. A client that sends the
  header itself only turns forwarding off. The header gives no rights.
- A request that failed before it was sent (no connection) is told apart from one that may have arrived. Only the first
  may be answered with 503.
- The path is forwarded percent-encoded as it came, because command ids depend on it.
- A request is only sent to URLs of PEER_URLS (worker.peers). It holds a token, and any member of the group may claim any
  URL.
- An answer is passed on only if a worker could have given it: JSON of bounded size, no redirect, a Location within the
  API. Only known headers are passed on. Any other answer counts as none.
- The number of parallel requests is bounded. A request that gets no connection within connect_s is refused.
"""

import re
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import aiohttp
import msgspec
import structlog
from aiohttp import web
from multidict import CIMultiDict
from yarl import URL

from api.limits import Limits
from api.problems import PROBLEM_JSON
from api.responses import CUSTOMERS
from worker.observability import metrics
from worker.peers import Peers

HOP = "X-Customer-Context-Hop"

_IDLE_SECONDS = 4.0  # shorter than the server keeps idle connections
_MOST_TOLD = 100

_ANSWER_HEADERS = (
    "Content-Type",
    "Location",
    "ETag",
    "Warning",
    "Age",
    "Retry-After",
    "WWW-Authenticate",
)
_REQUEST_HEADERS = ("Authorization", "Content-Type", "If-Match", "If-None-Match", "Idempotency-Key")
_STATUSES = frozenset({200, 201, 202, 204, 304, *range(400, 600)})
_JSON_TYPES = frozenset({"application/json", PROBLEM_JSON})
_LOCATION = re.compile(rf"{CUSTOMERS}/[!-\[\]-~]{{1,1000}}")

log = structlog.get_logger(__name__)


class OwnerUnreachable(Exception):
    """The owner did not answer. maybe_sent: whether the request may have reached it."""

    def __init__(self, maybe_sent: bool) -> None:
        super().__init__("the owner did not answer")
        self.maybe_sent = maybe_sent


class Forwarded(msgspec.Struct, frozen=True):
    """The owner's answer, with its known headers only."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def response(self) -> web.Response:
        """The same answer, for the client of this worker."""
        return web.Response(status=self.status, headers=self.headers, body=self.body)


class Forwarder:
    """Sends requests to other workers. Connections are open while `running`.

    Args:
        peers: the URLs to which requests may be sent.
        tls: the TLS settings for https URLs.
        limits: time limits, sizes and numbers of parallel requests.
    """

    def __init__(self, peers: Peers, tls: ssl.SSLContext, limits: Limits) -> None:
        self._peers = peers
        self._tls = tls
        self._limits = limits
        self._told: set[str] = set()
        self._session: aiohttp.ClientSession | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Allow connections until the block ends."""
        connector = aiohttp.TCPConnector(
            limit=self._limits.forwarded,
            limit_per_host=self._limits.forwarded_per_worker,
            keepalive_timeout=_IDLE_SECONDS,
            ssl=self._tls,
        )
        async with aiohttp.ClientSession(
            connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False
        ) as self._session:
            yield

    async def read(
        self, request: web.Request, owner: str, target: str, headers: Mapping[str, str]
    ) -> Forwarded:
        """The owner's answer to this GET or HEAD.

        Args:
            request: the client's request.
            owner: the URL of the owner.
            target: path and query, percent-encoded.
            headers: further headers of the forwarded request.

        Raises:
            OwnerUnreachable: there is no answer that can be passed on.
        """
        outgoing = _outgoing(request, _REQUEST_HEADERS, headers)
        return await self._exchange("GET", owner, target, b"", outgoing, self._limits.read_s)

    async def write(
        self, request: web.Request, owner: str, target: str, body: bytes, headers: Mapping[str, str]
    ) -> Forwarded:
        """The owner's answer to this write. body: the request's body; other arguments and errors as in `read`."""
        outgoing = _outgoing(request, _REQUEST_HEADERS, headers)
        return await self._exchange(request.method, owner, target, body, outgoing, self._limits.write_s)

    async def fetch(
        self, request: web.Request, owner: str, path: str, headers: Mapping[str, str]
    ) -> Forwarded:
        """The owner's answer to a GET of another path, with this request's token.

        path: percent-encoded; other arguments and errors as in `read`.
        """
        outgoing = _outgoing(request, ("Authorization",), headers)
        return await self._exchange("GET", owner, path, b"", outgoing, self._limits.read_s)

    def _base_of(self, owner: str) -> str:
        base = self._peers.base_of(owner)
        if base is not None:
            return base
        metrics.FOREIGN_OWNERS.inc()
        if owner not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(owner)
            log.error("a member of the group has a URL that is none of PEER_URLS", url=owner[:200])
        raise OwnerUnreachable(maybe_sent=False)

    async def _exchange(
        self, method: str, owner: str, target: str, body: bytes, headers: CIMultiDict[str], seconds: float
    ) -> Forwarded:
        if self._session is None:
            raise RuntimeError("the forwarder is not running")
        connect_s = self._limits.connect_s
        timeout = aiohttp.ClientTimeout(total=seconds, connect=connect_s, sock_connect=connect_s)
        try:
            async with self._session.request(
                method,
                URL(self._base_of(owner) + target, encoded=True),
                data=body or None,
                headers=headers,
                timeout=timeout,
                allow_redirects=False,
            ) as answer:
                content = await _read(answer, self._limits.answer_bytes)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL):
            raise OwnerUnreachable(maybe_sent=False) from None
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise OwnerUnreachable(maybe_sent=True) from None
        known = {name: answer.headers[name] for name in _ANSWER_HEADERS if name in answer.headers}
        if not _is_a_workers(answer.status, answer.content_type, known, content):
            log.error("a worker gave an answer that no worker gives", status=answer.status)
            raise OwnerUnreachable(maybe_sent=True)
        return Forwarded(answer.status, known, content)


async def _read(answer: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    content = bytearray()
    async for chunk in answer.content.iter_any():
        content += chunk
        if len(content) > most_bytes:
            raise aiohttp.ClientPayloadError
    return bytes(content)


def _is_a_workers(status: int, media_type: str, headers: Mapping[str, str], content: bytes) -> bool:
    is_json = not content or media_type in _JSON_TYPES
    leads_on = "Location" not in headers or _LOCATION.fullmatch(headers["Location"]) is not None
    return status in _STATUSES and is_json and leads_on


def _outgoing(request: web.Request, names: Sequence[str], added: Mapping[str, str]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for name in names:
        for value in request.headers.getall(name, ()):
            headers.add(name, value)
    for name, value in added.items():
        headers[name] = value
    headers[HOP] = "1"
    return headers
