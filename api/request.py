"""One request: its body, its headers, its principal, and the worker behind the API.

Rules:
- A body is JSON in UTF-8, has at most 64 KiB, and arrives within 10 seconds.
- A client that waits for `100 Continue` gets it when the body is read. By then host, token and path are accepted.
- If-Match takes `*` or a list of entity tags. `*` only requires that the customer exists. Tags are compared strongly. A
  tag that is no version ("abc", W/"3") matches nothing. Unquoted text is 400.
- If-None-Match is compared weakly (RFC 9110). Malformed text is ignored.
- The list in all headers of one name has at most 8 KiB. A longer If-Match is 400, a longer If-None-Match is ignored.
- traceparent is passed on if it is valid in W3C Trace Context.
- Idempotency-Key has 1 to 255 visible ASCII characters, X-Correlation-ID 1 to 100 printable ones.
"""

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import msgspec
from aiohttp import HttpVersion11, hdrs, web
from multidict import istr

from api.auth import Authenticator, Check, Principal
from api.limits import Limits
from api.owner import HOP, Forwarder
from api.problems import Problem, invalid
from api.read_copy import ReadCopy
from api.views import Renderings
from worker.domain.rejections import DeadLettered
from worker.domain.rules import RuleBook
from worker.gateway import Gateway
from worker.observability.tracing import TRACEPARENT, checked
from worker.processes.siblings import Siblings
from worker.wire.strict_json import read_object

IDEMPOTENCY_KEY = "Idempotency-Key"
CORRELATION_ID = "X-Correlation-ID"
CORRELATION_KEY = istr(CORRELATION_ID)  # looked up in every request, without case-folding a str
CORRELATION = web.RequestKey("correlation", str)  # the answer's X-Correlation-ID
NO_VERSION = 0
MAX_KEY_CHARS = 255  # of an Idempotency-Key
MAX_CORRELATION_CHARS = 100

_REMEMBERED_COMMANDS = 10_000
_REMEMBERED_SECONDS = 900.0
_MOST_CHARS = 8_192
_CONTINUE = "100-continue"
_TAG = r'(?:W/)?"[\x21\x23-\x7e\x80-\xff]*"'
_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_TAGS = re.compile(rf"[ \t,]*{_TAG}(?:[ \t]*,[ \t,]*{_TAG})*[ \t,]*")
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_KEY = re.compile(rf"[\x21-\x7e]{{1,{MAX_KEY_CHARS}}}")
_CORRELATION = re.compile(rf"[\x20-\x7e]{{1,{MAX_CORRELATION_CHARS}}}")


class SentCommands:
    """The latest commands that this worker produced or forwarded. The owner may not have read them yet.

    It holds at most 10,000 commands, each for 15 minutes.
    """

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, str], float] = OrderedDict()

    def remember(self, customer_id: str, command_id: str) -> None:
        """Remember a command, so that a request for its result gets 202 instead of 404."""
        self._sent[customer_id, command_id] = time.monotonic()
        self._sent.move_to_end((customer_id, command_id))
        if len(self._sent) > _REMEMBERED_COMMANDS:
            self._sent.popitem(last=False)

    def holds(self, customer_id: str, command_id: str) -> bool:
        """Whether this worker sent the command within the last 15 minutes."""
        at = self._sent.get((customer_id, command_id))
        return at is not None and time.monotonic() - at < _REMEMBERED_SECONDS


class Context(msgspec.Struct, frozen=True):
    """The objects that all views share.

    Attributes:
        app_id: APP_ID of the worker.
        gateway: the worker behind the API.
        renderings: the cache of customers as JSON.
        rules: the rules file.
        authenticator: checks tokens.
        forwarder: sends requests to other workers.
        read_copy: the copy in Redis; None without Redis.
        check_host: the check of the host; None if requests need a token.
        sent: the latest commands that this worker produced or forwarded.
        openapi: the OpenAPI document as JSON.
        asyncapi: the AsyncAPI document as JSON.
        limits: sizes and time limits.
        siblings: the other processes of this worker; None if it has one process.
    """

    app_id: str
    gateway: Gateway
    renderings: Renderings
    rules: RuleBook
    authenticator: Authenticator
    forwarder: Forwarder
    read_copy: ReadCopy | None
    check_host: Check | None
    sent: SentCommands
    openapi: bytes
    asyncapi: bytes
    limits: Limits
    siblings: Siblings | None = None


class Call(msgspec.Struct, frozen=True):
    """A request as its view gets it.

    Attributes:
        context: what all views share.
        request: the method, the target and the headers.
        ids: the values in the path, by their names in its template.
        principal: who sent it.
        correlation_id: the client's; None without one.
        given: the body, where the desk gives it; None where the client sends it.
    """

    context: Context
    request: web.Request
    ids: Mapping[str, str]
    principal: Principal
    correlation_id: str | None
    given: bytes | None = None

    @property
    def gateway(self) -> Gateway:
        """The worker behind the API."""
        return self.context.gateway

    @property
    def customer_id(self) -> str:
        """The customerId in the path. Raises KeyError if the path has none."""
        return self.ids["customerId"]

    @property
    def forwarded(self) -> bool:
        """Whether another worker forwarded the request. It is not forwarded again."""
        return HOP in self.request.headers

    @property
    def target(self) -> str:
        """The path and query as the client sent them, even if the request line held a whole URL."""
        raw = self.request.raw_path
        if raw.startswith("/"):
            return raw.partition("#")[0]
        parts = urlsplit(raw)
        return f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"

    @property
    def path(self) -> str:
        """The path as the client sent it, without the query."""
        return self.target.partition("?")[0]

    def onward_headers(self) -> dict[str, str]:
        """The headers that a forwarded request gets from this one: X-Correlation-ID and traceparent, if valid."""
        headers = {} if self.correlation_id is None else {CORRELATION_ID: self.correlation_id}
        trace = traceparent(self.request)
        return headers if trace is None else {**headers, TRACEPARENT: trace.decode()}

    async def body(self) -> bytes:
        """The raw body. Raises Problem 408 or 413."""
        request, limits = self.request, self.context.limits
        if self.given is not None:
            return self.given
        if (request.content_length or 0) > limits.body_bytes:
            raise Problem("BODY_TOO_LARGE", f"A body has at most {limits.body_bytes} bytes.")
        try:
            async with asyncio.timeout(limits.client_s):
                if request.can_read_body and _expectations(request):
                    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
                    request.writer.output_size = 0  # else aiohttp takes the answer for begun
                return await request.read()
        except TimeoutError:
            raise Problem("REQUEST_TIMEOUT", "The body did not arrive in time.") from None
        except (web.RequestPayloadError, ConnectionResetError):  # the client went away
            raise invalid(("body", "incomplete")) from None

    async def json(self) -> dict[str, Any]:
        """The JSON object in the body. Raises Problem 400, 408, 413 or 415."""
        body = await self.body()
        _check_media_type(self.request)
        try:
            return read_object(body)
        except DeadLettered:
            raise invalid(("body", "not_a_json_object")) from None

    async def optional_json(self) -> dict[str, Any] | None:
        """The JSON object in the body; None without a body, or with `null`. Raises the same as json()."""
        body = await self.body()
        return await self.json() if body and body.strip() != b"null" else None


def check_expectation(request: web.Request) -> None:
    """Raise Problem 417 for an `Expect` other than 100-continue. In HTTP/1.0 the header is ignored."""
    if any(each.strip().lower() != _CONTINUE for each in _expectations(request)):
        raise Problem("EXPECTATION_FAILED", "The only expectation that can be met is 100-continue.")


def expected_versions(request: web.Request) -> frozenset[int] | None:
    """The versions of If-Match, of which the customer must have one. A tag that is no version is NO_VERSION.

    None if the header is absent or `*`. Raises Problem 400 if it is malformed.
    """
    text = _joined(request, hdrs.IF_MATCH)
    if text is None or text.strip() == "*":
        return None
    if len(text) > _MOST_CHARS or not _TAGS.fullmatch(text):
        raise invalid(("If-Match", "invalid"))
    return frozenset(
        int(tag) if not weak and _VERSION.fullmatch(tag) else NO_VERSION for weak, tag in _ETAG.findall(text)
    )


def expects_weakly(request: web.Request) -> bool:
    """Whether If-Match names a weak tag, which never matches."""
    return any(weak for weak, _ in _ETAG.findall(_joined(request, hdrs.IF_MATCH) or ""))


def is_known(request: web.Request, version: int) -> bool:
    """Whether If-None-Match says that the client has this version."""
    text = _joined(request, hdrs.IF_NONE_MATCH)
    if text is None or len(text) > _MOST_CHARS:
        return False
    return text.strip() == "*" or any(tag == str(version) for _, tag in _ETAG.findall(text))


def idempotency_key(request: web.Request) -> str | None:
    """The Idempotency-Key; None without one. Raises Problem 400 if it is malformed."""
    return _single(request, IDEMPOTENCY_KEY, _KEY)


def correlation_id(request: web.Request) -> str | None:
    """The X-Correlation-ID; None without one. Raises Problem 400 if it is malformed."""
    if CORRELATION_KEY not in request.headers:
        return None
    return _single(request, CORRELATION_ID, _CORRELATION)


def traceparent(request: web.Request) -> bytes | None:
    """The request's W3C trace context; None without a valid one. A malformed header is no error."""
    values = request.headers.getall(TRACEPARENT, ())
    return checked(values[0].encode(errors="replace")) if len(values) == 1 else None


def _expectations(request: web.Request) -> list[str]:
    return request.headers.getall(hdrs.EXPECT, []) if request.version >= HttpVersion11 else []


def _check_media_type(request: web.Request) -> None:
    coding = request.headers.get("Content-Encoding", "identity").strip().lower()
    charset = (request.charset or "utf-8").lower()
    if request.content_type != "application/json" or coding != "identity" or charset not in ("utf-8", "utf8"):
        raise Problem("UNSUPPORTED_MEDIA_TYPE", "Send application/json, in UTF-8 and not compressed.")


def _joined(request: web.Request, name: str) -> str | None:
    """The values of all headers of that name, joined by commas; None without any."""
    return ",".join(request.headers.getall(name)) if name in request.headers else None


def _single(request: web.Request, name: str, form: re.Pattern[str]) -> str | None:
    values = request.headers.getall(name, ())
    if not values:
        return None
    if len(values) > 1 or not form.fullmatch(values[0]):
        raise invalid((name, "invalid"))
    return values[0]
