"""Answers that several endpoints share, and the paths they point to."""

from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import hdrs, web
from multidict import CIMultiDict

from api.contracts import PendingCommandView, encode
from api.problems import RETRY_SECONDS, Problem
from worker.domain.rejections import RejectionCode

CUSTOMERS = "/api/v1/customers"
PRIVATE = "private, no-cache"  # personal data: no shared cache keeps it, and each use asks again

# Copied into each answer: cheaper than building one from pairs.
_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", hdrs.CACHE_CONTROL: PRIVATE})


def json_response(view: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """A view as JSON."""
    return raw_response(encode(view), status, headers)


def raw_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """JSON that is encoded already."""
    response = web.Response(body=body, status=status, headers=_JSON)
    if headers is not None:
        response.headers.update(headers)
    return response


def not_modified(tag: str) -> web.Response:
    """304: the client has this version."""
    return web.Response(status=304, headers={hdrs.ETAG: tag, hdrs.CACHE_CONTROL: PRIVATE})


def no_content(headers: Mapping[str, str] | None = None) -> web.Response:
    """204."""
    return web.Response(status=204, headers=headers)


def pending(customer_id: str, command_id: str) -> web.Response:
    """202: the command is in the log, its result is not known yet."""
    headers = {"Location": command_path(customer_id, command_id), "Retry-After": str(RETRY_SECONDS)}
    return json_response(PendingCommandView(command_id, customer_id), 202, headers)


def customer_not_found() -> Problem:
    """404 for the whole customer."""
    return Problem(RejectionCode.CUSTOMER_NOT_FOUND, "There is no such customer.")


def customer_erased(headers: Mapping[str, str] | None = None) -> Problem:
    """410: there was such a customer, and there will be none again."""
    return Problem(RejectionCode.CUSTOMER_ERASED, "The customer was erased.", headers=headers)


def customer_path(customer_id: str) -> str:
    """Where a customer can be asked for."""
    return f"{CUSTOMERS}/{quote(customer_id, safe='')}"


def command_path(customer_id: str, command_id: str) -> str:
    """Where the result of a command can be asked for."""
    return f"{customer_path(customer_id)}/commands/{quote(command_id, safe='')}"
