"""From the list of operations to aiohttp's routes, and from whatever goes wrong to a problem document.

Rules:
- A route that is not in the list does not exist, whoever added it to the application.
- Every answer carries X-Correlation-ID: the client's own, the command's id for a write, or a new one.
- An unexpected error is logged without its text, which could hold personal data, and answered with 500.
"""

import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from os import urandom

import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from api.calls import Call, Context
from api.headers import CORRELATION, CORRELATION_ID, correlation_id
from api.operations import Operation
from api.problems import Problem, invalid, of_http_exception
from api.watching import CLIENT_GONE, route_of, shown_correlation, tell
from worker.wire.fields import has_control_characters

MAX_ID_CHARS = 100

log = structlog.get_logger(__name__)

_RUN = urandom(8).hex()
_NUMBERS = count(1)


def routes_of(operations: Sequence[Operation], context: Context) -> list[web.RouteDef]:
    """A route for each operation; aiohttp lets every GET answer HEAD too."""
    return [web.route(each.method, each.path, _endpoint(each, context)) for each in operations]


def guard(routes: Sequence[web.RouteDef]) -> Middleware:
    """The only middleware: hides foreign routes, turns errors into problems, adds the correlation id, counts and logs."""
    ours = frozenset(route.handler for route in routes)

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        started = time.monotonic()
        status = CLIENT_GONE  # unless there is an answer
        request[CORRELATION] = _correlation_of(request)
        try:
            try:
                # Errors of the router (404, 405) come as handlers of their own, with an http_exception.
                if request.match_info.handler not in ours and request.match_info.http_exception is None:
                    raise Problem("NOT_FOUND")
                response = await handler(request)
            except Exception as error:
                response = _problem_of(request, error).response()
            status = response.status
            response.headers[CORRELATION_ID] = request[CORRELATION]
            if status == 408:
                response.force_close()
        finally:
            tell(request, status, time.monotonic() - started)
        return response

    return answer


def _endpoint(operation: Operation, context: Context) -> Handler:
    access, view, authenticator = operation.access, operation.view, context.authenticator

    async def handle(request: web.Request) -> web.StreamResponse:
        customer_id = request.match_info.get("customerId")
        principal = authenticator.admit(access, request.headers.get("Authorization"), customer_id)
        for name, value in request.match_info.items():
            if len(value) > MAX_ID_CHARS or has_control_characters(value):
                raise invalid((name, "invalid"))
        correlation = correlation_id(request)
        return await view(Call(context, request, principal, correlation))

    return handle


def _problem_of(request: web.Request, error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPException):
        return of_http_exception(error)
    log.error(
        "an HTTP request failed",
        route=route_of(request),
        correlation_id=shown_correlation(request),
        error=type(error).__name__,
        exc_info=error,
    )
    return Problem("INTERNAL_ERROR")


def _correlation_of(request: web.Request) -> str:
    """The client's, or a new one; a write without one puts its commandId there."""
    given = None
    if CORRELATION_ID in request.headers:
        with suppress(Problem):  # the endpoint refuses it
            given = correlation_id(request)
    return given or f"{_RUN}{next(_NUMBERS):016x}"
