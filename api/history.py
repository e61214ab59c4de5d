"""The points history, page by page (contract, section 5).

Rules:
- A page reads its own lines and one more, however long the history is.
- A cursor is the key of the last line of its page. Lines are never deleted and their keys never change, so the next page
  begins after it, whatever counted meanwhile.
- While the owner is away, a page comes from the copy, which holds the first lines. It may be shorter than asked for, and
  its cursor leads on. A page that begins after the lines of the copy is 503.
"""

import re
from collections.abc import Sequence

import msgspec
from aiohttp import web

from api import reads
from api.paging import cursor_in, limit_of
from api.problems import owner_away
from api.read_copy import Copied, HistoryKeys
from api.request import Call
from api.responses import customer_erased, json_response
from api.views import LedgerEntry, PointsHistoryView, RewardPointsView, history_view
from worker.domain.state import HistoryKey
from worker.gateway import NotOwned

_CURSOR = re.compile(r"(0|-?[1-9][0-9]{0,14})\.([1-9][0-9]{0,9})")

_decode_points = msgspec.json.Decoder(RewardPointsView).decode
_decode_keys = msgspec.json.Decoder(HistoryKeys).decode


def cursor_of(key: HistoryKey) -> str:
    """The cursor of the page that begins after the line with this key."""
    return f"{key.occurred_at}.{key.sequence}"


async def get_points_history(call: Call) -> web.Response:
    """Answer with a page of the points history, the latest lines first."""
    limit, before = _page_of(call.request)
    try:
        customer = reads.committed(call)
        lines = call.gateway.points_history(call.customer_id, limit + 1, before)
    except NotOwned as away:
        answer = await reads.ask_owner(call, away.partition)
        return await _copied(call, limit, before) if answer is None else answer.response()
    return json_response(history_view(customer.id, lines[:limit], _next(lines, limit)))


def _page_of(request: web.Request) -> tuple[int, HistoryKey | None]:
    """The limit, and the key of the line after which the page begins. Raises Problem 400."""
    limit, found = limit_of(request), cursor_in(request, _CURSOR)
    return limit, None if found is None else HistoryKey(int(found[1]), int(found[2]))


def _next(lines: Sequence[LedgerEntry], limit: int) -> str | None:
    """The cursor of the page after these lines; None after the last page. lines: one more than the page, if any."""
    return cursor_of(HistoryKey.of(lines[limit - 1][2])) if len(lines) > limit else None


async def _copied(call: Call, limit: int, before: HistoryKey | None) -> web.Response:
    found = await reads.copy_of(call, call.customer_id, Copied.REWARD_POINTS, Copied.HISTORY)
    if not found.bodies:
        return customer_erased(reads.stale_headers(found)).response()
    try:
        points, first = _decode_points(found.bodies[0]), _decode_keys(found.bodies[1])
    except msgspec.DecodeError:  # no worker wrote it
        raise owner_away() from None
    begin = sum(before is not None and key >= before for key in first.keys)
    end = min(begin + limit, len(first.keys))
    if begin == end and first.more:
        raise owner_away()
    goes_on = end < len(first.keys) or first.more
    cursor = cursor_of(first.keys[end - 1]) if goes_on else None
    page = PointsHistoryView(points.customer_id, points.ledger[begin:end], cursor)
    return json_response(page, headers=reads.stale_headers(found))
