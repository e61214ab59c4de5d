"""Reads of customers that this worker does not hold: the owner's answer, else the Redis copy, else 503."""

from aiohttp import web
from msgspec import json as msgspec_json

from api.answers import customer_erased, customer_not_found, customer_path, raw_response
from api.calls import Call
from api.forwarding import READ_SECONDS, Forwarded, OwnerUnreachable
from api.headers import etag
from api.problems import unavailable
from api.read_copy import Copied

AWAY = "The worker that owns this customer is not available right now."
_STALE = '110 - "Response is Stale"'


async def ask_owner(call: Call, partition: int) -> Forwarded | None:
    """The owner's answer to this request; None while there is none."""
    owner = None if call.forwarded else call.gateway.owner_url(partition)
    if owner is None:
        return None
    try:
        return await call.context.forwarder.send(
            call.request, owner, headers=call.onward_headers(), seconds=READ_SECONDS
        )
    except OwnerUnreachable:
        return None


async def read_elsewhere(call: Call, partition: int, kind: Copied) -> web.Response:
    """The owner's answer, or the stale copy. Raises Problem 503."""
    answer = await ask_owner(call, partition)
    return answer.response() if answer is not None else await _copied(call, call.customer_id, kind)


async def find_elsewhere(call: Call, partition: int, customer_id: str, email: str) -> web.Response:
    """A customer found by email whose partition is not here: asked for by id, and only if the email is still its own.

    Nobody has the email of an erased customer, so the 410 of the id is a 404 here.

    The look-up itself may have been forwarded already; the question by id is another one, and goes no further.
    """
    response, owner = None, call.gateway.owner_url(partition)
    if owner is not None:
        response = await _fetch(call, owner + customer_path(customer_id))
    if response is None:
        response = await _copied(call, customer_id, Copied.CUSTOMER)
    if response.status == 410:
        raise customer_not_found()
    if response.status == 200 and msgspec_json.decode(response.text or "")["email"] != email:
        raise customer_not_found()
    return response


async def _fetch(call: Call, url: str) -> web.Response | None:
    try:
        answer = await call.context.forwarder.fetch(
            call.request, url, headers=call.onward_headers(), seconds=READ_SECONDS
        )
    except OwnerUnreachable:
        return None
    return answer.response()


async def _copied(call: Call, customer_id: str, kind: Copied) -> web.Response:
    copy = call.context.read_copy
    found = None if copy is None else await copy.read(customer_id, kind)
    if found is None:
        raise unavailable(AWAY)
    headers = {"Warning": _STALE, "Age": str(found.age_seconds)}
    if found.body is None:
        return customer_erased(headers).response()
    return raw_response(found.body, headers={"ETag": etag(found.version), **headers})
