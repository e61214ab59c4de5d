"""The endpoints that change a customer. Each becomes one command, and its answer shows what that command left."""

from collections.abc import Callable, Mapping
from typing import Any, cast

from aiohttp import web

from api.answers import (
    customer_erased,
    customer_not_found,
    customer_path,
    json_response,
    no_content,
    pending,
    raw_response,
)
from api.bodies import read_json, read_optional_json
from api.calls import Call
from api.commands import NewCommand, command_from
from api.headers import etag
from api.representation import (
    address_view,
    payment_method_view,
    points_view,
    preferences_view,
)
from api.submitting import submit
from worker.domain.ids import derived_id
from worker.domain.messages import AddDeliveryAddress, AddPaymentMethod
from worker.domain.state import Customer
from worker.domain.values import DeliveryAddress, PaymentMethod
from worker.gateway import NotOwned

REASON_OF_ERASURE = "ERASURE_REQUESTED"  # when the request gives none

Show = Callable[[Call, NewCommand, Customer], web.Response]


async def register(call: Call) -> web.Response:
    """201 with the Customer."""
    return await _write(call, "RegisterCustomer", await read_json(call.request), _created)


async def update_profile(call: Call) -> web.Response:
    """200 with the Customer; an absent phone clears it."""
    return await _write(call, "UpdateProfile", {"phone": None, **await read_json(call.request)}, _customer)


async def change_status(call: Call) -> web.Response:
    """200 with the Customer."""
    return await _write(call, "ChangeStatus", await read_json(call.request), _customer)


async def upgrade_membership(call: Call) -> web.Response:
    """200 with the Customer."""
    return await _write(call, "UpgradeMembership", await read_json(call.request), _customer)


async def update_preferences(call: Call) -> web.Response:
    """200 with the preferences; absent fields stay."""
    return await _write(call, "UpdatePreferences", await read_json(call.request), _preferences)


async def add_address(call: Call) -> web.Response:
    """201 with the DeliveryAddress."""
    return await _write(call, "AddDeliveryAddress", await read_json(call.request), _address)


async def remove_address(call: Call) -> web.Response:
    """204."""
    return await _write(call, "RemoveDeliveryAddress", _address_id(call), _nothing)


async def set_default_address(call: Call) -> web.Response:
    """204."""
    return await _write(call, "SetDefaultDeliveryAddress", _address_id(call), _nothing)


async def redeem_points(call: Call) -> web.Response:
    """201 with the reward points."""
    return await _write(call, "RedeemPoints", await read_json(call.request), _points)


async def add_payment_method(call: Call) -> web.Response:
    """201 with the payment method."""
    return await _write(call, "AddPaymentMethod", await read_json(call.request), _payment_method)


async def remove_payment_method(call: Call) -> web.Response:
    """204."""
    data = {"paymentMethodId": call.request.match_info["paymentMethodId"]}
    return await _write(call, "RemovePaymentMethod", data, _nothing)


async def erase(call: Call) -> web.Response:
    """204. The body may be left out, and with it the reason."""
    body = await read_optional_json(call.request)
    return await _write(call, "EraseCustomer", {"reason": REASON_OF_ERASURE} if body is None else body, _gone)


async def _write(call: Call, command_type: str, data: Mapping[str, Any], show: Show) -> web.Response:
    command = command_from(call, command_type, data)
    result = await submit(call, command)
    if isinstance(result, web.Response):
        return result
    try:
        customer = call.gateway.customer(command.customer_id)
        if customer is None:
            raise customer_not_found()
        # Erased since then: a repeated request shows nothing of them either.
        if customer.erased and show is not _gone:
            raise customer_erased()
        return show(call, command, customer)
    except NotOwned:  # applied, but its effect can be seen at another worker only
        return pending(command.customer_id, command.command_id)


def _address_id(call: Call) -> dict[str, str]:
    return {"addressId": call.request.match_info["addressId"]}


def _created(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    headers = {"Location": customer_path(customer.id), "ETag": etag(customer.version)}
    return raw_response(call.context.renderings.of(customer), 201, headers)


def _customer(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    return raw_response(call.context.renderings.of(customer), headers={"ETag": etag(customer.version)})


def _preferences(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    view = preferences_view(customer.preferences)
    return json_response(view, headers={"ETag": etag(customer.version)})


def _points(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    view = points_view(customer, call.gateway.ledger(customer.id))
    return json_response(view, 201, {"ETag": etag(customer.version)})


def _address(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    added = derived_id(command.command_id)
    address = next((known for known in customer.addresses if known.id == added), None)
    if address is None:  # a repeated request, and the address was removed since: what was added all the same
        sent = cast(AddDeliveryAddress, command.message())
        address = DeliveryAddress(added, sent.address, sent.label, sent.is_default)
    return json_response(address_view(address), 201, _part_headers(customer, f"addresses/{added}"))


def _payment_method(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    added = derived_id(command.command_id)
    method = next((known for known in customer.payment_methods if known.id == added), None)
    if method is None:  # as with addresses
        sent = cast(AddPaymentMethod, command.message())
        method = PaymentMethod(added, sent.method_type, sent.last4, sent.provider, sent.expiry)
    return json_response(
        payment_method_view(method), 201, _part_headers(customer, f"payment-methods/{added}")
    )


def _part_headers(customer: Customer, part: str) -> dict[str, str]:
    return {"Location": f"{customer_path(customer.id)}/{part}", "ETag": etag(customer.version)}


def _nothing(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    return no_content({"ETag": etag(customer.version)})


def _gone(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    call.context.renderings.forget(customer.id)
    return _nothing(call, command, customer)
