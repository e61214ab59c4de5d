"""What is answered to bytes that are not HTTP: aiohttp's own answer repeats them, and they may be personal data."""

import structlog
from aiohttp import web

from api.problems import Problem
from worker.domain.rejections import RejectionCode

log = structlog.get_logger(__name__)


def answer_without_repeating() -> None:
    """From now on such answers of this process are problem documents. aiohttp has no other place to say so."""
    web.RequestHandler.handle_error = _refuse  # type: ignore[method-assign, assignment]


def _refuse(
    _handler: web.RequestHandler,
    request: web.BaseRequest,
    status: int = 500,
    exc: BaseException | None = None,
    message: str | None = None,
) -> web.StreamResponse:
    """As RequestHandler.handle_error: the answer, after which the connection is closed."""
    error = type(exc).__name__
    if status < 500:
        log.info("a request could not be read", error=error)
        problem = Problem(RejectionCode.VALIDATION_FAILED, "The request is not HTTP that can be read.")
    else:
        log.error("a request failed outside of the API", error=error, exc_info=exc)
        problem = Problem("INTERNAL_ERROR")
    if request.writer.output_size > 0:
        raise ConnectionError("an answer has been sent already")
    response = problem.response()
    response.force_close()
    return response
