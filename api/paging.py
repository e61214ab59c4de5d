"""The query parameters of lists that are answered page by page: limit and before."""

import re

from aiohttp import web

from api.problems import invalid
from api.views import LEDGER_LINES, MOST_HISTORY_LINES

_LIMIT = re.compile(r"[1-9][0-9]{0,2}")


def limit_of(request: web.Request) -> int:
    """The most entries of the page. Raises Problem 400."""
    if "limit" not in request.query:
        return LEDGER_LINES
    limit = int(_single(request, "limit", _LIMIT)[0])
    if limit > MOST_HISTORY_LINES:
        raise invalid(("limit", "out_of_range"))
    return limit


def cursor_in(request: web.Request, form: re.Pattern[str]) -> re.Match[str] | None:
    """The cursor of the page; None for the first page. form: of the list's cursors. Raises Problem 400."""
    return _single(request, "before", form) if "before" in request.query else None


def _single(request: web.Request, name: str, form: re.Pattern[str]) -> re.Match[str]:
    given = request.query.getall(name)
    found = form.fullmatch(given[0])
    if found is None or len(given) > 1:
        raise invalid((name, "invalid"))
    return found
