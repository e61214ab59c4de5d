"""Request headers that steer an answer: conditions, idempotency, correlation.

Rules:
- If-Match takes `*` or one entity tag. `*` asks only that the customer exists; a tag that is not one of our versions
  ("abc", W/"3") matches nothing, which version 0 says; lists and unquoted text are 400.
- If-None-Match compares weakly, as RFC 9110 says; what cannot be read is ignored.
- traceparent: passed on when it is one of W3C Trace Context.
- Idempotency-Key: 1 to 255 visible ASCII characters. X-Correlation-ID: 1 to 100 printable ones.
"""

import re

from aiohttp import hdrs, web
from multidict import istr

from api.problems import invalid
from worker.tracing import TRACEPARENT, checked

HOP = "X-Customer-Context-Hop"
IDEMPOTENCY_KEY = "Idempotency-Key"
CORRELATION_ID = "X-Correlation-ID"
CORRELATION_KEY = istr(CORRELATION_ID)  # every request looks it up, and a plain str is folded each time
CORRELATION = web.RequestKey("correlation", str)  # what the answer shows as X-Correlation-ID
NO_VERSION = 0

_ETAG = re.compile(r'(W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION = re.compile(r"[1-9][0-9]{0,17}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_CORRELATION = re.compile(r"[\x20-\x7e]{1,100}")


def etag(version: int) -> str:
    """The entity tag of a version."""
    return f'"{version}"'


def expected_version(request: web.Request) -> int | None:
    """What If-Match expects; None when it is absent or `*`. Raises Problem 400 when malformed."""
    values = request.headers.getall("If-Match", ())
    if not values:
        return None
    text = values[0].strip()
    if len(values) == 1 and text == "*":
        return None
    match = _ETAG.fullmatch(text)
    if match is None or len(values) > 1:
        raise invalid(("If-Match", "invalid"))
    weak, tag = match.groups()
    return int(tag) if not weak and _VERSION.fullmatch(tag) else NO_VERSION


def is_known(request: web.Request, version: int) -> bool:
    """Whether If-None-Match says that the client has this version."""
    text = request.headers.get(hdrs.IF_NONE_MATCH)
    if text is None:
        return False
    return text.strip() == "*" or any(tag == str(version) for _, tag in _ETAG.findall(text))


def idempotency_key(request: web.Request) -> str | None:
    """The Idempotency-Key, None when absent. Raises Problem 400 when malformed."""
    return _single(request, IDEMPOTENCY_KEY, _KEY)


def correlation_id(request: web.Request) -> str | None:
    """The X-Correlation-ID, None when absent. Raises Problem 400 when malformed."""
    if CORRELATION_KEY not in request.headers:
        return None
    return _single(request, CORRELATION_ID, _CORRELATION)


def traceparent(request: web.Request) -> bytes | None:
    """The request's W3C trace context; None when there is none that can be read, for it asks for nothing."""
    values = request.headers.getall(TRACEPARENT, ())
    return checked(values[0].encode(errors="replace")) if len(values) == 1 else None


def _single(request: web.Request, name: str, form: re.Pattern[str]) -> str | None:
    values = request.headers.getall(name, ())
    if not values:
        return None
    if len(values) > 1 or not form.fullmatch(values[0]):
        raise invalid((name, "invalid"))
    return values[0]
