"""Errors of the HTTP API as problem documents (RFC 9457).

Rules:
- Every error has a code. STATUS_OF_CODE gives its status, as the contract's table does.
- A problem names the wrong field and the fault, never the value, because values are personal data.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus
from itertools import islice

import msgspec
from aiohttp import web

from api.views import FieldErrorView, ProblemView, encode
from worker.domain.rejections import RejectionCode
from worker.wire.limits import MOST_ERRORS
from worker.wire.results import CommandResult

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 1

STATUS_OF_CODE: Mapping[str, int] = {
    RejectionCode.VALIDATION_FAILED: 400,
    RejectionCode.CUSTOMER_NOT_FOUND: 404,
    RejectionCode.ADDRESS_NOT_FOUND: 404,
    RejectionCode.PAYMENT_METHOD_NOT_FOUND: 404,
    RejectionCode.REDEMPTION_NOT_FOUND: 404,
    RejectionCode.CUSTOMER_ALREADY_EXISTS: 409,
    RejectionCode.CUSTOMER_EMAIL_EXISTS: 409,
    RejectionCode.STATUS_TRANSITION_NOT_ALLOWED: 409,
    RejectionCode.CUSTOMER_NOT_ACTIVE: 409,
    RejectionCode.ADDRESS_EXISTS: 409,
    RejectionCode.ADDRESS_LIMIT_REACHED: 409,
    RejectionCode.PAYMENT_METHOD_LIMIT_REACHED: 409,
    RejectionCode.INSUFFICIENT_POINTS: 409,
    RejectionCode.MEMBERSHIP_DOWNGRADE_NOT_ALLOWED: 409,
    RejectionCode.CUSTOMER_ERASED: 410,
    RejectionCode.VERSION_CONFLICT: 412,
    RejectionCode.IDEMPOTENCY_CONFLICT: 422,
    # Codes that only HTTP has.
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "COMMAND_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "EXPECTATION_FAILED": 417,
    "MISDIRECTED_REQUEST": 421,
    "INTERNAL_ERROR": 500,
    "UNAVAILABLE": 503,
}

_CODE_OF_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}


class Problem(Exception):
    """An error that becomes a problem document.

    Args:
        code: a key of STATUS_OF_CODE.
        detail: a sentence without personal data, or empty.
        errors: pairs of field and fault.
        headers: further headers of the answer. A 503 has Retry-After in any case.
        reasons: why the worker is not ready; None for any other problem.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        reasons: tuple[str, ...] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = str(code)
        self.status = STATUS_OF_CODE[code]
        self.detail = detail
        self.errors = tuple(FieldErrorView(field, word) for field, word in islice(errors, MOST_ERRORS))
        self.headers = dict(headers or {})
        if self.status == 503:
            self.headers.setdefault("Retry-After", str(RETRY_SECONDS))
        self.reasons = reasons

    def response(self) -> web.Response:
        """The answer."""
        view = ProblemView(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.code,
            detail=self.detail or msgspec.UNSET,
            errors=self.errors,
            reasons=msgspec.UNSET if self.reasons is None else self.reasons,
        )
        return web.Response(
            body=encode(view), status=self.status, content_type=PROBLEM_JSON, headers=self.headers
        )


def invalid(*errors: tuple[str, str]) -> Problem:
    """The problem VALIDATION_FAILED. errors: pairs of field and fault."""
    return Problem(RejectionCode.VALIDATION_FAILED, "The request is not valid.", errors=errors)


def unavailable(detail: str) -> Problem:
    """503. The client should try again, a write with the same Idempotency-Key."""
    return Problem("UNAVAILABLE", detail)


def owner_away() -> Problem:
    """503: the worker that owns the customer cannot be reached. No command was produced."""
    return unavailable("The worker that owns this customer is not available right now.")


def of_result(result: CommandResult) -> Problem:
    """The problem with which a rejected command is answered."""
    code = result.code if isinstance(result.code, str) else "INTERNAL_ERROR"
    errors = () if isinstance(result.errors, msgspec.UnsetType) else result.errors
    detail = result.detail if isinstance(result.detail, str) else ""
    return Problem(
        code if code in STATUS_OF_CODE else "INTERNAL_ERROR",
        detail,
        errors=[(error.field, error.code) for error in errors],
    )


def of_http_exception(error: web.HTTPException) -> Problem:
    """The problem for an error of aiohttp: an unknown route, a wrong method, or a body over the limit."""
    code = _CODE_OF_STATUS.get(error.status)
    if code is None:
        return Problem("INTERNAL_ERROR") if error.status >= 500 else Problem("VALIDATION_FAILED")
    allow = error.headers.get("Allow")
    return Problem(code, headers={"Allow": allow} if allow else None)
