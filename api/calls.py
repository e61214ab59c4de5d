"""What a view works with: one request, who makes it, and the worker behind it."""

import time
from collections import OrderedDict

import msgspec
from aiohttp import web

from api.auth import Authenticator, Principal
from api.forwarding import Forwarder
from api.headers import CORRELATION_ID, HOP, traceparent
from api.read_copy import ReadCopy
from api.rendering import Renderings
from worker.gateway import Gateway
from worker.tracing import TRACEPARENT

_REMEMBERED_COMMANDS = 10_000
_REMEMBERED_SECONDS = 900.0


class SentCommands:
    """The commands that this worker produced or passed on lately: the owner may not have read them yet."""

    def __init__(self) -> None:
        self._sent: OrderedDict[tuple[str, str], float] = OrderedDict()

    def remember(self, customer_id: str, command_id: str) -> None:
        """From now on a question for its result is answered with 202 rather than 404."""
        self._sent[customer_id, command_id] = time.monotonic()
        self._sent.move_to_end((customer_id, command_id))
        if len(self._sent) > _REMEMBERED_COMMANDS:
            self._sent.popitem(last=False)

    def holds(self, customer_id: str, command_id: str) -> bool:
        """Whether it was sent from here within the last 15 minutes."""
        at = self._sent.get((customer_id, command_id))
        return at is not None and time.monotonic() - at < _REMEMBERED_SECONDS


class Context(msgspec.Struct, frozen=True):
    """What all views share. read_copy: None without Redis."""

    gateway: Gateway
    renderings: Renderings
    authenticator: Authenticator
    forwarder: Forwarder
    read_copy: ReadCopy | None
    sent: SentCommands
    openapi: bytes
    asyncapi: bytes


class Call(msgspec.Struct, frozen=True):
    """One request on its way through a view. correlation_id: None when the client gave none."""

    context: Context
    request: web.Request
    principal: Principal
    correlation_id: str | None

    @property
    def gateway(self) -> Gateway:
        return self.context.gateway

    @property
    def customer_id(self) -> str:
        """The customer in the path."""
        return self.request.match_info["customerId"]

    @property
    def forwarded(self) -> bool:
        """Whether another worker sent it here; it goes no further."""
        return HOP in self.request.headers

    def onward_headers(self) -> dict[str, str]:
        """What travels on with a forwarded request beside its own headers."""
        headers = {} if self.correlation_id is None else {CORRELATION_ID: self.correlation_id}
        trace = traceparent(self.request)
        return headers if trace is None else {**headers, TRACEPARENT: trace.decode()}
