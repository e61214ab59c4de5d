"""The GET endpoints of customers.

A read shows committed state only. It comes from the local table, or from the owner's answer to a forwarded request.
While the owner is away, it comes from the Redis copy with Warning and Age. Without a copy the answer is 503.
"""

from typing import cast

import msgspec
from aiohttp import web

from api.owner import Forwarded, OwnerUnreachable
from api.problems import Problem, invalid, owner_away
from api.read_copy import Copied, StaleCopy
from api.request import Call, is_known
from api.responses import (
    ETAG,
    accepted,
    customer_erased,
    customer_not_found,
    customer_path,
    etag,
    json_response,
    not_modified,
    raw_response,
)
from api.views import LEDGER_LINES, points_view
from worker.domain.state import Customer
from worker.gateway import NotOwned
from worker.wire.email import email_hash, normalise_email
from worker.wire.results import encode_result

_STALE = '110 - "Response is Stale"'


class _Found(msgspec.Struct):
    email: str


_found = msgspec.json.Decoder(_Found)


async def get_customer(call: Call) -> web.Response:
    """Answer with the Customer, or with 304 if the client has this version."""
    try:
        customer = committed(call)
    except NotOwned as away:
        return await _read_elsewhere(call, away.partition, Copied.CUSTOMER)
    return _customer(call, customer)


async def get_reward_points(call: Call) -> web.Response:
    """Answer with the balance and the last lines of the points history, or with 304."""
    try:
        customer = committed(call)
        tag = etag(customer.version)
        if is_known(call.request, customer.version):
            return not_modified(tag)
        view = points_view(customer, call.gateway.points_history(call.customer_id, LEDGER_LINES))
    except NotOwned as away:
        return await _read_elsewhere(call, away.partition, Copied.REWARD_POINTS)
    return json_response(view, headers={ETAG: tag})


async def find_customer(call: Call) -> web.Response:
    """Answer with the customer that has an email. The email's claim and the customer may be on different workers."""
    email = _email_of(call.request)
    try:
        customer_id = call.gateway.email_owner(email_hash(email))
    except NotOwned as away:
        answer = await ask_owner(call, away.partition)
        if answer is None:
            raise owner_away() from None
        return answer.response()
    if customer_id is None:
        raise customer_not_found()
    try:
        customer = call.gateway.customer(customer_id)
    except NotOwned as away:
        return await _find_elsewhere(call, away.partition, customer_id, email)
    # The email is claimed, but the customer does not use it yet or any more. An erased customer has no email.
    if customer is None or customer.email != email:
        raise customer_not_found()
    return _customer(call, customer)


async def get_command(call: Call) -> web.Response:
    """Answer with the result of a command, or with 202 while there is none. Raises Problem 404 if it is unknown."""
    customer_id, command_id = call.customer_id, call.ids["commandId"]
    sent = call.context.sent.holds(customer_id, command_id)
    try:
        state = call.gateway.command(customer_id, command_id)
    except NotOwned as away:
        answer = await ask_owner(call, away.partition)
        if answer is None:
            raise owner_away() from None
        return accepted(customer_id, command_id) if answer.status == 404 and sent else answer.response()
    if state is not None and state.result is not None:
        return raw_response(encode_result(state.result))
    if state is None and not sent:
        raise Problem("COMMAND_NOT_FOUND", "No such command is known.")
    return accepted(customer_id, command_id)


def committed(call: Call) -> Customer:
    """The committed customer of the path. Raises NotOwned, and Problem 404 or 410."""
    customer = call.gateway.customer(call.customer_id)
    if customer is None:
        raise customer_not_found()
    if customer.erased:
        call.context.renderings.forget(call.customer_id)
        raise customer_erased()
    return customer


def _customer(call: Call, customer: Customer) -> web.Response:
    tag = etag(customer.version)
    if is_known(call.request, customer.version):
        return not_modified(tag)
    return raw_response(call.context.renderings.of(customer), headers={ETAG: tag})


def _email_of(request: web.Request) -> str:
    given = request.query.getall("email", [])
    if len(given) != 1:
        raise invalid(("email", "required" if not given else "invalid"))
    try:
        return normalise_email(given[0])
    except ValueError:
        raise invalid(("email", "invalid")) from None


async def ask_owner(call: Call, partition: int) -> Forwarded | None:
    """The owner's answer to this request; None if the owner is unknown or does not answer."""
    owner = None if call.forwarded else call.gateway.owner_url(partition)
    if owner is None:
        return None
    try:
        return await call.context.forwarder.read(call.request, owner, call.target, call.onward_headers())
    except OwnerUnreachable:
        return None


async def _read_elsewhere(call: Call, partition: int, kind: Copied) -> web.Response:
    """The owner's answer, or else the stale copy. Raises Problem 503 without either."""
    answer = await ask_owner(call, partition)
    return answer.response() if answer is not None else await _copied(call, call.customer_id, kind)


async def _find_elsewhere(call: Call, partition: int, customer_id: str, email: str) -> web.Response:
    """A customer found by email whose partition another worker owns. It is requested from the owner by its id.

    The customer counts as found only if it still has the email. An erased customer has none, so the owner's 410 becomes
    404. This request is sent even if the look-up itself was forwarded, because the owner of the id forwards no further.

    Args:
        call: the look-up.
        partition: the customer's partition.
        customer_id: the customer that owns the email's claim.
        email: the normalised email.
    """
    response, owner = None, call.gateway.owner_url(partition)
    if owner is not None:
        response = await _fetch(call, owner, customer_path(customer_id))
    if response is None:
        response = await _copied(call, customer_id, Copied.CUSTOMER)
    if response.status == 410:
        raise customer_not_found()
    if response.status == 200 and _email_in(response) != email:
        raise customer_not_found()
    return response


def _email_in(response: web.Response) -> str:
    try:
        return _found.decode(cast(bytes, response.body)).email
    except (msgspec.DecodeError, ValueError, RecursionError):  # no worker wrote that body
        raise owner_away() from None


async def _fetch(call: Call, owner: str, path: str) -> web.Response | None:
    try:
        answer = await call.context.forwarder.fetch(call.request, owner, path, call.onward_headers())
    except OwnerUnreachable:
        return None
    return answer.response()


async def copy_of(call: Call, customer_id: str, *kinds: Copied) -> StaleCopy:
    """A customer from the copy. Raises Problem 503 without a copy."""
    copy = call.context.read_copy
    found = None if copy is None else await copy.read(customer_id, *kinds)
    if found is None:
        raise owner_away()
    return found


def stale_headers(found: StaleCopy) -> dict[str, str]:
    """The headers that say that an answer is from the copy, and how old it is."""
    return {"Warning": _STALE, "Age": str(found.age_seconds)}


async def _copied(call: Call, customer_id: str, kind: Copied) -> web.Response:
    found = await copy_of(call, customer_id, kind)
    if not found.bodies:
        return customer_erased(stale_headers(found)).response()
    return raw_response(found.bodies[0], headers={ETAG: etag(found.version), **stale_headers(found)})
