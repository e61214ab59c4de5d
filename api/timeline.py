"""The timeline, page by page: one entry for each version of the customer (contract, section 5).

Rules:
- A page reads its own lines, however long the history is.
- A cursor is the last version of its page. Versions run without gap, so the next page begins with the one below.
- While the owner is away, a page comes from the copy, which holds the first entries. It may be shorter than asked for,
  and its cursor leads on. A page that begins after the entries of the copy is 503.
"""

import re

import msgspec
from aiohttp import web

from api import reads
from api.explained.entries import timeline_view
from api.paging import cursor_in, limit_of
from api.problems import owner_away
from api.read_copy import Copied, CopiedVersions
from api.request import Call
from api.responses import customer_erased, json_response
from api.views import LEDGER_LINES
from worker.gateway import NotOwned

_CURSOR = re.compile(r"[1-9][0-9]{0,9}")

_decode = msgspec.json.Decoder(CopiedVersions).decode


async def get_timeline(call: Call) -> web.Response:
    """Answer with a page of the timeline, the latest version first."""
    limit, found = limit_of(call.request), cursor_in(call.request, _CURSOR)
    before = None if found is None else int(found[0])
    try:
        customer = reads.committed(call)
        last = _last(customer.version, before)
        first = max(1, last - limit + 1)
        lines = call.gateway.versions(call.customer_id, first, last)
    except NotOwned as away:
        answer = await reads.ask_owner(call, away.partition)
        return await _copied(call, limit, before) if answer is None else answer.response()
    return json_response(timeline_view(customer.id, lines, first, last, call.context.rules))


def _last(version: int, before: int | None) -> int:
    """The first version of the page. version: the customer's."""
    return version if before is None else min(version, before - 1)


async def _copied(call: Call, limit: int, before: int | None) -> web.Response:
    found = await reads.copy_of(call, call.customer_id, Copied.TIMELINE)
    if not found.bodies:
        return customer_erased(reads.stale_headers(found)).response()
    try:
        copied = _decode(found.bodies[0])
    except msgspec.DecodeError:  # no worker wrote it
        raise owner_away() from None
    least, last = max(1, found.version - LEDGER_LINES + 1), _last(found.version, before)
    if 0 < last < least:
        raise owner_away()
    first = max(least, last - limit + 1)
    lines = [line for line in copied.lines if first <= line.version <= last]
    page = timeline_view(call.customer_id, lines, first, last, call.context.rules)
    return json_response(page, headers=reads.stale_headers(found))
