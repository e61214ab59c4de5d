"""Makes aiohttp routes from the list of operations, and problem documents from errors.

Rules:
- Only the routes of the list exist, even if the application has others.
- Every answer has the header X-Correlation-ID: the client's own, the command's id for a write, or a new one.
- Every answer has the headers of api.responses.
- A request for a foreign host is refused before anything else of it is read.
- `Expect: 100-continue` is answered when the body is needed (api.request). Any other expectation is 417, and its text is
  not repeated in the answer.
- An unexpected error is answered with 500, and logged without its text, because the text could hold personal data.
- Each answered request is counted in a metric and logged. The log line holds the route's template and not the path,
  because clients choose the ids in it. Writes and failures are logged at `info`, other requests at `debug`.
- A correlation id is logged only if it looks like an id: letters and digits, no spaces and few signs. Clients choose it,
  and a name, an email or a phone must not get into the log.
"""

import logging
import re
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from itertools import count
from os import urandom

import structlog
from aiohttp import hdrs, web
from aiohttp.typedefs import Handler

from api.auth import Access, Check
from api.endpoints import Operation
from api.problems import Problem, invalid, of_http_exception
from api.request import CORRELATION, CORRELATION_KEY, Call, Context, check_expectation, correlation_id
from api.responses import make_safe
from worker.domain.rejections import RejectionCode
from worker.engine.exits import ExitCode, die
from worker.engine.store import StoreFailed
from worker.observability import metrics
from worker.wire.ids import MAX_ID_CHARS, fault_of_id

CLIENT_GONE = 499  # what nginx calls it

log = structlog.get_logger(__name__)
_standard_log = logging.getLogger(__name__)

_RUN = urandom(8).hex()
_NUMBERS = count(1)
_NOWHERE = web.PlainResource("")
_READING = frozenset({"GET", "HEAD"})
_LOOKS_LIKE_AN_ID = re.compile(rf"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9._:-]{{1,{MAX_ID_CHARS}}}")


Show = Callable[[web.Request, Problem], web.StreamResponse]


def show_problem(_request: web.Request, problem: Problem) -> web.StreamResponse:
    """A problem document, as the API answers errors."""
    return problem.response()


def routes_of(operations: Sequence[Operation], context: Context) -> list[web.RouteDef]:
    """A route for each operation. aiohttp also answers HEAD on every GET route."""
    return [
        web.route(each.method, each.path, _endpoint(each, context), expect_handler=leave_to_the_view)
        for each in operations
    ]


def answer_everything(
    router: web.UrlDispatcher, routes: Sequence[web.RouteDef], check_host: Check | None
) -> None:
    """Answer every request that matches none of these routes with a problem document.

    A middleware would run too late: before it, aiohttp answers the `Expect` of an unknown path and repeats its text.

    Args:
        router: the application's router; its `resolve` is replaced.
        routes: the routes of the API.
        check_host: the check of the host; None if requests need a token.
    """
    ours, find = frozenset(route.handler for route in routes), router.resolve

    async def resolve(request: web.Request) -> web.UrlMappingMatchInfo:
        found = await find(request)
        return found if found.handler in ours else _no_endpoint(found.http_exception, check_host)

    router.resolve = resolve  # type: ignore[method-assign]  # aiohttp no longer accepts a custom router


def refuse_unreadable(
    request: web.BaseRequest, status: int, error: BaseException | None
) -> web.StreamResponse:
    """The answer to bytes that are not HTTP. It replaces aiohttp's own answer, which would repeat the bytes.

    worker.engine.patches.http_server installs it.

    Args:
        request: the request as far as it could be read.
        status: the status that aiohttp chose. 500 and above is a failure outside of the API.
        error: the cause.

    Returns:
        A problem document.

    Raises:
        ConnectionError: an answer has been sent already.
    """
    name = type(error).__name__
    if status < 500:
        log.info("a request could not be read", error=name)
        problem = Problem(RejectionCode.VALIDATION_FAILED, "The request is not HTTP that can be read.")
    else:
        log.error("a request failed outside of the API", error=name, exc_info=error)
        problem = Problem("INTERNAL_ERROR")
    if request.writer.output_size > 0:
        raise ConnectionError("an answer has been sent already")
    response = problem.response()
    make_safe(response)
    return response


def _no_endpoint(error: web.HTTPException | None, check_host: Check | None) -> web.UrlMappingMatchInfo:
    """The answer to a request without a route. error: aiohttp's 404 or 405; None if it found a route not of the list."""

    def refuse(_request: web.Request) -> Awaitable[web.StreamResponse]:
        raise Problem("NOT_FOUND") if error is None else of_http_exception(error)

    answer = answering(refuse, None, check_host)
    route = web.ResourceRoute("*", answer, _NOWHERE, expect_handler=leave_to_the_view)
    return web.UrlMappingMatchInfo({}, route)


async def leave_to_the_view(_request: web.Request) -> None:
    """Do nothing about `Expect` yet. The default handler of aiohttp asks for every body, and repeats unknown texts."""


def _endpoint(operation: Operation, context: Context) -> Handler:
    def enter(request: web.Request) -> Awaitable[web.StreamResponse]:
        return _enter(operation, context, request, request.match_info, None)

    return answering(enter, operation.path, context.check_host)


def answer_within(
    operation: Operation, context: Context, request: web.Request, ids: Mapping[str, str], body: bytes
) -> Awaitable[web.StreamResponse]:
    """The answer to a request of this worker to itself, with the same checks as one of a client.

    Args:
        operation: what is asked for.
        context: of the API.
        request: method, target and headers of the request. Its own body is not read.
        ids: the values in the path.
        body: the body; empty for none.
    """

    def enter(request: web.Request) -> Awaitable[web.StreamResponse]:
        return _enter(operation, context, request, ids, body)

    return answering(enter, operation.path, context.check_host)(request)


def _enter(
    operation: Operation, context: Context, request: web.Request, ids: Mapping[str, str], body: bytes | None
) -> Awaitable[web.StreamResponse]:
    given = request.headers.getall(hdrs.AUTHORIZATION, ())
    principal = context.authenticator.admit(operation.access, given, ids.get("customerId"))
    # A probe or a scrape does not mind to wait. A write waits for its result, of which the engine knows by the command.
    if operation.access is not Access.OPEN and operation.command_type is None:
        context.gateway.somebody_reads()
    for name, value in ids.items():
        if fault_of_id(value) is not None:
            raise invalid((name, "invalid"))
    return operation.view(Call(context, request, ids, principal, correlation_id(request), body))


def answering(
    enter: Handler, route: str | None, check_host: Check | None, show: Show = show_problem
) -> Handler:
    """Wrap a handler: its errors become answers, and each answer gets a correlation id, a metric and a log line.

    Args:
        enter: the handler.
        route: the template of its route; None without a route.
        check_host: the check of the host; None if requests need a token.
        show: makes the answer of an error.
    """

    async def answer(request: web.Request) -> web.StreamResponse:
        started = time.monotonic()
        status = CLIENT_GONE  # unless there is an answer
        request[CORRELATION] = _correlation_of(request)
        try:
            try:
                if check_host is not None:
                    check_host(request)
                if hdrs.EXPECT in request.headers:
                    check_expectation(request)
                response = await enter(request)
            except StoreFailed as error:  # as in a batch, the worker cannot continue without its store
                die(ExitCode.STORE_FAILED, str(error), error=error)
            except Exception as error:
                response = show(request, _problem_of(request, error, route))
            status = response.status
            response.headers[CORRELATION_KEY] = request[CORRELATION]
            make_safe(response)
            if status == 408:
                response.force_close()
        finally:
            _tell(request, route, status, time.monotonic() - started)
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
        correlation_id=_shown_correlation(request),
        error=type(error).__name__,
        exc_info=error,
    )
    return Problem("INTERNAL_ERROR")


def _correlation_of(request: web.Request) -> str:
    """The client's correlation id, or a new one. A write without one later sets its commandId instead."""
    given = None
    if CORRELATION_KEY in request.headers:
        with suppress(Problem):  # the endpoint refuses a malformed one
            given = correlation_id(request)
    return given or f"{_RUN}{next(_NUMBERS):016x}"


def _tell(request: web.Request, route: str | None, status: int, seconds: float) -> None:
    """Count and log one request.

    Args:
        request: the request.
        route: the template of its route; None without a route.
        status: the status that the client got.
        seconds: how long the answer took.
    """
    metrics.count_request(request.method, route, status, seconds)
    quiet = request.method in _READING and status < 400
    if quiet and not _standard_log.isEnabledFor(
        logging.DEBUG
    ):  # asked first, because most requests are quiet
        return
    say = log.debug if quiet else log.info
    say(
        "request",
        method=metrics.known_method(request.method),
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        correlation_id=_shown_correlation(request),
    )


def _shown_correlation(request: web.Request) -> str:
    """The correlation id as a log line may show it."""
    given = request.get(CORRELATION, "")
    return given if _LOOKS_LIKE_AN_ID.fullmatch(given) else "(not shown)"
