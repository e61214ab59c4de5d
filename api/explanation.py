"""The explanation of a customer: why this level, VIP and balance (contract, section 5)."""

from aiohttp import web

from api import reads
from api.explained.standing import explanation_view
from api.read_copy import Copied
from api.request import Call
from api.responses import customer_erased, json_response, raw_response
from worker.gateway import NotOwned


async def get_explanation(call: Call) -> web.Response:
    """Answer with the explanation. It depends on the rules of today too, so it has no ETag."""
    try:
        customer = reads.committed(call)
        view = explanation_view(customer, call.gateway, call.context.rules)
    except NotOwned as away:
        answer = await reads.ask_owner(call, away.partition)
        return await _copied(call) if answer is None else answer.response()
    return json_response(view)


async def _copied(call: Call) -> web.Response:
    found = await reads.copy_of(call, call.customer_id, Copied.EXPLANATION)
    if not found.bodies:
        return customer_erased(reads.stale_headers(found)).response()
    return raw_response(found.bodies[0], headers=reads.stale_headers(found))
