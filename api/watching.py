"""Every answered request: a metric, and a log line that tells nothing of what was sent.

Rules:
- The route's template, never the path, which holds ids that somebody chose.
- Writes and failures are logged at `info`, the rest at `debug`.
- A correlation id is shown when it looks like an id: letters and digits, no spaces or signs. Clients choose it, and
  one that holds a name, an email or a phone must not get into a log.
"""

import logging
import re

import structlog
from aiohttp import web

from api.headers import CORRELATION
from worker import metrics

CLIENT_GONE = 499  # what nginx calls it

log = structlog.get_logger(__name__)
_standard_log = logging.getLogger(__name__)

_READING = frozenset({"GET", "HEAD"})
_LOOKS_LIKE_AN_ID = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[A-Za-z0-9._:-]{1,100}")


def tell(request: web.Request, route: str | None, status: int, seconds: float) -> None:
    """Counts and logs one request.

    route: its template, None where it met none. status: as the client got it; seconds: how long the answer took.
    """
    metrics.count_request(request.method, route, status, seconds)
    quiet = request.method in _READING and status < 400
    if quiet and not _standard_log.isEnabledFor(
        logging.DEBUG
    ):  # asked first: this is the way of most requests
        return
    say = log.debug if quiet else log.info
    say(
        "request",
        method=metrics.known_method(request.method),
        route=route,
        status=status,
        ms=round(seconds * 1000, 1),
        correlation_id=shown_correlation(request),
    )


def shown_correlation(request: web.Request) -> str:
    """The correlation id for a log line."""
    given = request.get(CORRELATION, "")
    return given if _LOOKS_LIKE_AN_ID.fullmatch(given) else "(not shown)"
