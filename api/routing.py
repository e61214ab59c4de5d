"""From the list of operations to aiohttp's routes, and from whatever goes wrong to a problem document.

Rules:
- A route that is not in the list does not exist, whoever added it to the application.
- Every answer carries X-Correlation-ID: the client's own, the command's id for a write, or a new one.
- An unexpected error is logged without its text, which could hold personal data, and answered with 500.
"""

import time
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from itertools import count
from os import urandom

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from api.calls import Call, Context
from api.headers import CORRELATION, CORRELATION_KEY, correlation_id
from api.operations import Operation
from api.problems import Problem, invalid, of_http_exception
from api.watching import CLIENT_GONE, shown_correlation, tell
from worker.wire.fields import has_control_characters

MAX_ID_CHARS = 100

log = structlog.get_logger(__name__)

_RUN = urandom(8).hex()
_NUMBERS = count(1)
_NOWHERE = web.PlainResource("")


def routes_of(operations: Sequence[Operation], context: Context) -> list[web.RouteDef]:
    """A route for each operation; aiohttp lets every GET answer HEAD too."""
    return [web.route(each.method, each.path, _endpoint(each, context)) for each in operations]


def answer_everything(router: web.UrlDispatcher, routes: Sequence[web.RouteDef]) -> None:
    """From now on whatever is not one of these routes is answered with a problem.

    A middleware could do that too; each request would then pass through two more coroutines of aiohttp's.
    """
    ours, find = frozenset(route.handler for route in routes), router.resolve

    async def resolve(request: web.Request) -> web.UrlMappingMatchInfo:
        found = await find(request)
        return found if found.handler in ours else _no_endpoint(found.http_exception)

    router.resolve = resolve  # type: ignore[method-assign]  # an application takes no router of one's own any more


def _no_endpoint(error: web.HTTPException | None) -> web.UrlMappingMatchInfo:
    """error: why aiohttp found no route (404, 405); None where it found a foreign one."""

    def refuse(_request: web.Request) -> Awaitable[web.StreamResponse]:
        raise Problem("NOT_FOUND") if error is None else of_http_exception(error)

    return web.UrlMappingMatchInfo({}, web.ResourceRoute("*", _answering(refuse, None), _NOWHERE))


def _endpoint(operation: Operation, context: Context) -> Handler:
    access, view, admit = operation.access, operation.view, context.authenticator.admit

    def enter(request: web.Request) -> Awaitable[web.StreamResponse]:
        ids, headers = request.match_info, request.headers
        principal = admit(access, headers.get(hdrs.AUTHORIZATION), ids.get("customerId"))
        for name, value in ids.items():
            if len(value) > MAX_ID_CHARS or has_control_characters(value):
                raise invalid((name, "invalid"))
        return view(Call(context, request, principal, correlation_id(request)))

    return _answering(enter, operation.path)


def _answering(enter: Handler, route: str | None) -> Handler:
    """What is common to all answers: errors become problems; a correlation id, a metric, a log line."""

    async def answer(request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        status = CLIENT_GONE  # unless there is an answer
        request[CORRELATION] = _correlation_of(request)
        try:
            try:
                response = await enter(request)
            except Exception as error:
                response = _problem_of(request, error, route).response()
            status = response.status
            response.headers[CORRELATION_KEY] = request[CORRELATION]
            if status == 408:
                response.force_close()
        finally:
            tell(request, route, status, time.monotonic() - started)
        return response

    return answer


def _problem_of(request: web.Request, error: Exception, route: str | None) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, web.HTTPException):
        return of_http_exception(error)
    log.error(
        "an HTTP request failed",
        route=route,
        correlation_id=shown_correlation(request),
        error=type(error).__name__,
        exc_info=error,
    )
    return Problem("INTERNAL_ERROR")


def _correlation_of(request: web.Request) -> str:
    """The client's, or a new one; a write without one puts its commandId there."""
    given = None
    if CORRELATION_KEY in request.headers:
        with suppress(Problem):  # the endpoint refuses it
            given = correlation_id(request)
    return given or f"{_RUN}{next(_NUMBERS):016x}"
