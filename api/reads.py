"""The GET endpoints of customers.

A read shows committed state only: the owner's table, or what the owner answers. While the owner is away it is the
Redis copy, marked with Warning and Age, or 503 with Retry-After.
"""

from aiohttp import hdrs, web

from api.answers import (
    customer_erased,
    customer_not_found,
    json_response,
    not_modified,
    pending,
    raw_response,
)
from api.calls import Call
from api.elsewhere import AWAY, ask_owner, find_elsewhere, read_elsewhere
from api.headers import etag, is_known
from api.problems import Problem, invalid, unavailable
from api.read_copy import Copied
from api.representation import points_view
from worker.domain.state import Customer
from worker.gateway import NotOwned
from worker.wire.email import email_hash, normalise_email
from worker.wire.results import encode_result


async def get_customer(call: Call) -> web.Response:
    """The Customer, or 304 when the client has this version."""
    try:
        customer = _committed(call)
    except NotOwned as away:
        return await read_elsewhere(call, away.partition, Copied.CUSTOMER)
    return _customer(call, customer)


async def get_reward_points(call: Call) -> web.Response:
    """The balance and the last lines of the points history, or 304."""
    try:
        customer = _committed(call)
        tag = etag(customer.version)
        if is_known(call.request, customer.version):
            return not_modified(tag)
        view = points_view(customer, call.gateway.ledger(call.customer_id))
    except NotOwned as away:
        return await read_elsewhere(call, away.partition, Copied.REWARD_POINTS)
    return json_response(view, headers={hdrs.ETAG: tag})


async def find_customer(call: Call) -> web.Response:
    """The customer with that email. Its claim may live on another worker than the customer."""
    email = _email_of(call.request)
    try:
        customer_id = call.gateway.email_owner(email_hash(email))
    except NotOwned as away:
        answer = await ask_owner(call, away.partition)
        if answer is None:
            raise unavailable(AWAY) from None
        return answer.response()
    if customer_id is None:
        raise customer_not_found()
    try:
        customer = call.gateway.customer(customer_id)
    except NotOwned as away:
        return await find_elsewhere(call, away.partition, customer_id, email)
    # Claimed, but not in use yet, or no longer; an erased customer has none.
    if customer is None or customer.email != email:
        raise customer_not_found()
    return _customer(call, customer)


async def get_command(call: Call) -> web.Response:
    """The result of a command; 202 while there is none."""
    customer_id, command_id = call.customer_id, call.request.match_info["commandId"]
    sent = call.context.sent.holds(customer_id, command_id)
    try:
        state = call.gateway.command(customer_id, command_id)
    except NotOwned as away:
        answer = await ask_owner(call, away.partition)
        if answer is None:
            raise unavailable(AWAY) from None
        return pending(customer_id, command_id) if answer.status == 404 and sent else answer.response()
    if state is not None and state.result is not None:
        return raw_response(encode_result(state.result))
    if state is None and not sent:
        raise Problem("COMMAND_NOT_FOUND", "No such command is known.")
    return pending(customer_id, command_id)


def _committed(call: Call) -> Customer:
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
    return raw_response(call.context.renderings.of(customer), headers={hdrs.ETAG: tag})


def _email_of(request: web.Request) -> str:
    given = request.query.getall("email", [])
    if len(given) != 1:
        raise invalid(("email", "required" if not given else "invalid"))
    try:
        return normalise_email(given[0])
    except ValueError:
        raise invalid(("email", "invalid")) from None
