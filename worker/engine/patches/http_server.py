# mypy: disable-error-code="method-assign,assignment"
# aiohttp has no other place to set these two.
"""aiohttp's server: a limit on open client connections, and a safe answer to bytes that are not HTTP.

Rules:
- Each connection takes a file descriptor, and the stores need some too. Clients get at most a quarter of those that the
  process may open, and never more than 10,000.
- A connection over the limit is closed at once. Idle ones are closed after 10 s (api.app), which makes room.
- aiohttp's own answer repeats bytes that are not HTTP. They may be personal data.
"""

import asyncio
import functools
import inspect
import resource
import time
from collections.abc import Callable

import structlog
from aiohttp import web

_MOST = 10_000
_SAY_EVERY_S = 60.0

log = structlog.get_logger(__name__)

Answer = Callable[[web.BaseRequest, int, BaseException | None], web.StreamResponse]
"""Makes the answer to a request that could not be read, from the request, the status and the exception."""


def install(answer: Answer) -> None:
    """Limit connections in all servers of this process, and give this answer to unreadable requests."""

    @functools.wraps(inspect.unwrap(web.RequestHandler.handle_error))
    def handle_error(
        _handler: web.RequestHandler,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer, and close the connection afterwards."""
        response = answer(request, status, exc)
        response.force_close()
        return response

    accept = inspect.unwrap(web.Server.connection_made)

    @functools.wraps(accept)
    def connection_made(
        server: web.Server, handler: web.RequestHandler, transport: asyncio.Transport
    ) -> None:
        accept(server, handler, transport)
        if len(server.connections) > most_connections():
            transport.abort()
            _say_so()

    web.RequestHandler.handle_error = handle_error
    web.Server.connection_made = connection_made


def most_connections() -> int:
    """How many client connections this process allows."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if files == resource.RLIM_INFINITY else min(_MOST, files // 4)


class _Said:
    at = float("-inf")  # time.monotonic()


def _say_so() -> None:
    if time.monotonic() - _Said.at > _SAY_EVERY_S:
        _Said.at = time.monotonic()
        log.warning("too many connections are open; new ones are closed")
