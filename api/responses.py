"""Answers that several endpoints share, the paths of resources, and the security headers of every answer.

The security headers forbid browsers and caches to store an answer, guess its type or show it in a frame. They also
forbid scripts in it, and keep its address from other hosts.
"""

from collections.abc import Mapping
from urllib.parse import quote

from aiohttp import hdrs, web
from multidict import CIMultiDict, istr

from api.problems import RETRY_SECONDS, Problem
from api.views import PendingCommandView, encode
from worker.domain.rejections import RejectionCode

CUSTOMERS = "/api/v1/customers"

POLICY = "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
CONTENT_SECURITY_POLICY = istr("Content-Security-Policy")
ETAG = istr("ETag")  # aiohttp's own constant is spelled "Etag"
_NOSNIFF = istr("X-Content-Type-Options")
_SAFE: CIMultiDict[str] = CIMultiDict(
    {
        hdrs.CACHE_CONTROL: "no-store",
        _NOSNIFF: "nosniff",
        CONTENT_SECURITY_POLICY: f"default-src 'none'; {POLICY}",
        istr("Referrer-Policy"): "no-referrer",
        hdrs.SERVER: "customer-context",  # else aiohttp sends its version and Python's
    }
)

# Each answer gets a copy, which is cheaper than building the headers from pairs.
_JSON = CIMultiDict({hdrs.CONTENT_TYPE: "application/json", **_SAFE})


def make_safe(response: web.StreamResponse) -> None:
    """Add those security headers that the answer does not have yet."""
    headers = response.headers
    if _NOSNIFF in headers:  # most answers are created with all of them
        return
    for name, value in _SAFE.items():
        if name not in headers:
            headers[name] = value


def json_response(view: object, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with a view as JSON."""
    return raw_response(encode(view), status, headers)


def raw_response(body: bytes, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """An answer with encoded JSON."""
    response = web.Response(body=body, status=status, headers=_JSON)
    if headers is not None:
        response.headers.update(headers)
    return response


def not_modified(tag: str) -> web.Response:
    """304: the client has this version."""
    return web.Response(status=304, headers={ETAG: tag})


def no_content(headers: Mapping[str, str] | None = None) -> web.Response:
    """204: success without a body."""
    return web.Response(status=204, headers=headers)


def accepted(customer_id: str, command_id: str) -> web.Response:
    """202: the command was produced, and its result is not known yet. Location is the path of the result."""
    headers = {"Location": command_path(customer_id, command_id), "Retry-After": str(RETRY_SECONDS)}
    return json_response(PendingCommandView(command_id, customer_id), 202, headers)


def customer_not_found() -> Problem:
    """404: the customer does not exist."""
    return Problem(RejectionCode.CUSTOMER_NOT_FOUND, "There is no such customer.")


def customer_erased(headers: Mapping[str, str] | None = None) -> Problem:
    """410: the customer was erased, and the id is never used again."""
    return Problem(RejectionCode.CUSTOMER_ERASED, "The customer was erased.", headers=headers)


def customer_path(customer_id: str) -> str:
    """The path of a customer, percent-encoded."""
    return f"{CUSTOMERS}/{quote(customer_id, safe='')}"


def command_path(customer_id: str, command_id: str) -> str:
    """The path of a command's result, percent-encoded."""
    return f"{customer_path(customer_id)}/commands/{quote(command_id, safe='')}"


def etag(version: int) -> str:
    """The entity tag of a customer's version, such as `"3"`."""
    return f'"{version}"'
