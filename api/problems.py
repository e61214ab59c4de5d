"""Errors of the HTTP API: RFC 9457 problem documents.

Rules:
- Every error has a code; the contract's table gives a code its status.
- A problem says what is wrong with which field, never the value: no personal data leaves here.
"""

from collections.abc import Iterable, Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web

from api.contracts import FieldErrorView, ProblemView, encode
from worker.domain.rejections import RejectionCode
from worker.wire.results import CommandResult

PROBLEM_JSON = "application/problem+json"
RETRY_SECONDS = 1

STATUS_OF_CODE: Mapping[str, int] = {
    RejectionCode.VALIDATION_FAILED: 400,
    RejectionCode.CUSTOMER_NOT_FOUND: 404,
    RejectionCode.ADDRESS_NOT_FOUND: 404,
    RejectionCode.PAYMENT_METHOD_NOT_FOUND: 404,
    RejectionCode.CUSTOMER_ALREADY_EXISTS: 409,
    RejectionCode.CUSTOMER_EMAIL_EXISTS: 409,
    RejectionCode.STATUS_TRANSITION_NOT_ALLOWED: 409,
    RejectionCode.CUSTOMER_NOT_ACTIVE: 409,
    RejectionCode.ADDRESS_EXISTS: 409,
    RejectionCode.ADDRESS_LIMIT_REACHED: 409,
    RejectionCode.INSUFFICIENT_POINTS: 409,
    RejectionCode.MEMBERSHIP_DOWNGRADE_NOT_ALLOWED: 409,
    RejectionCode.CUSTOMER_ERASED: 410,
    RejectionCode.VERSION_CONFLICT: 412,
    RejectionCode.IDEMPOTENCY_CONFLICT: 422,
    # Codes of HTTP alone.
    "UNAUTHENTICATED": 401,
    "FORBIDDEN": 403,
    "NOT_FOUND": 404,
    "COMMAND_NOT_FOUND": 404,
    "METHOD_NOT_ALLOWED": 405,
    "REQUEST_TIMEOUT": 408,
    "BODY_TOO_LARGE": 413,
    "UNSUPPORTED_MEDIA_TYPE": 415,
    "INTERNAL_ERROR": 500,
    "UNAVAILABLE": 503,
}

_CODE_OF_STATUS = {404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 413: "BODY_TOO_LARGE"}


class Problem(Exception):
    """An error answer on its way out. code: a key of STATUS_OF_CODE; detail holds no personal data."""

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
        self.errors = tuple(FieldErrorView(field, word) for field, word in errors)
        self.headers = dict(headers or {})
        self.reasons = reasons

    def response(self) -> web.Response:
        """The answer, with Retry-After where trying again helps."""
        view = ProblemView(
            title=HTTPStatus(self.status).phrase,
            status=self.status,
            code=self.code,
            detail=self.detail or msgspec.UNSET,
            errors=self.errors,
            reasons=msgspec.UNSET if self.reasons is None else self.reasons,
        )
        headers = {"Cache-Control": "no-store", **self.headers}
        if self.status == 503:
            headers.setdefault("Retry-After", str(RETRY_SECONDS))
        return web.Response(body=encode(view), status=self.status, content_type=PROBLEM_JSON, headers=headers)


def invalid(*errors: tuple[str, str]) -> Problem:
    """VALIDATION_FAILED with (field, code) pairs."""
    return Problem(RejectionCode.VALIDATION_FAILED, "The request is not valid.", errors=errors)


def unavailable(detail: str) -> Problem:
    """Nothing happened and nothing is known; the client should try again."""
    return Problem("UNAVAILABLE", detail)


def of_result(result: CommandResult) -> Problem:
    """The problem that a rejected command is answered with."""
    code = result.code if isinstance(result.code, str) else "INTERNAL_ERROR"
    errors = () if isinstance(result.errors, msgspec.UnsetType) else result.errors
    detail = result.detail if isinstance(result.detail, str) else ""
    return Problem(
        code if code in STATUS_OF_CODE else "INTERNAL_ERROR",
        detail,
        errors=[(error.field, error.code) for error in errors],
    )


def of_http_exception(error: web.HTTPException) -> Problem:
    """What aiohttp itself refuses: unknown routes, methods, bodies over the limit."""
    code = _CODE_OF_STATUS.get(error.status)
    if code is None:
        return Problem("INTERNAL_ERROR") if error.status >= 500 else Problem("VALIDATION_FAILED")
    allow = error.headers.get("Allow")
    return Problem(code, headers={"Allow": allow} if allow else None)
