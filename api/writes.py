"""The endpoints that change a customer: the command that a request becomes, its way to the log, and the answer.

Rules:
- commandId = UUIDv5(N, `subject|method|path|Idempotency-Key`). Without the header the worker generates a key. A
  forwarded request holds this key, so that both workers make the same command.
- A registration's customerId = UUIDv5(N, commandId). A generated key is chosen so that the customer's partition is that
  of the email's hash. Then the registration takes one transaction instead of three.
- `data` is what the client sent, after the command's model accepted it. So a repeated request makes the same command.
- The worker waits for the result from before it sends the command, so that no result is missed. Without a result within
  5 s the answer is 202 with the command's Location.
- 503 means that Kafka did not acknowledge the command, or that the customer's owner cannot be reached.
- If a forwarded request may have arrived but has no answer, this worker produces the same command, too. The second copy
  has no effect. So 202 always means that the command is in the log.
- A repeated request shows the customer as they are now, and never the data of one who was erased.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any, cast
from uuid import uuid4

import msgspec
from aiohttp import web

from api.owner import OwnerUnreachable
from api.problems import Problem, invalid, of_result, owner_away, unavailable
from api.request import (
    CORRELATION,
    IDEMPOTENCY_KEY,
    Call,
    expected_versions,
    expects_weakly,
    idempotency_key,
    traceparent,
)
from api.responses import (
    ETAG,
    accepted,
    customer_erased,
    customer_not_found,
    customer_path,
    etag,
    json_response,
    no_content,
    raw_response,
)
from api.views import LEDGER_LINES, address_view, payment_method_view, points_view, preferences_view
from worker.domain.ids import derived_id
from worker.domain.messages import AddDeliveryAddress, AddPaymentMethod, AnyCommand
from worker.domain.rejections import RejectionCode
from worker.domain.state import Customer
from worker.domain.values import DeliveryAddress, PaymentMethod
from worker.gateway import CommandNotSent, NotOwned
from worker.wire.command_models import COMMAND_MODELS, CommandData, RegisterCustomerData
from worker.wire.email import email_hash
from worker.wire.results import CommandResult
from worker.wire.times import format_time
from worker.wire.validation import InvalidData, read_data

REASON_OF_ERASURE = "ERASURE_REQUESTED"  # when the request gives none

_FLAT = ("enabledTypes", "enabledChannels")
_MOST_TRIES = 100  # with 8 partitions they fail once in 600,000 times; more would take too long with 1,000


class NewCommand(msgspec.Struct, frozen=True):
    """A command that is not produced yet.

    Attributes:
        key: the Idempotency-Key from which the command's id is derived.
        command_id: the derived id.
        command_type: a key of COMMAND_MODELS.
        customer_id: the customer that it changes.
        issued_at: ms since 1970 UTC.
        expected_version: the version that the customer must have; None for any.
        correlation_id: the client's; None without one.
        actor: who gave it; None while HTTP is open.
        data: what the client sent.
        checked: the same data, as the command's model read it.
    """

    key: str
    command_id: str
    command_type: str
    customer_id: str
    issued_at: int
    expected_version: int | None
    correlation_id: str | None
    actor: str | None
    data: Mapping[str, Any]
    checked: CommandData

    def encode(self) -> bytes:
        """The value of the command's record, as JSON."""
        envelope: dict[str, Any] = {
            "commandId": self.command_id,
            "commandType": self.command_type,
            "customerId": self.customer_id,
            "issuedAt": format_time(self.issued_at),
        }
        if self.correlation_id is not None:
            envelope["correlationId"] = self.correlation_id
        if self.expected_version is not None:
            envelope["expectedVersion"] = self.expected_version
        if self.actor is not None:
            envelope["actor"] = self.actor
        envelope["data"] = self.data
        return msgspec.json.encode(envelope)

    def message(self) -> AnyCommand:
        """The command as a message of the domain."""
        return self.checked.to_command(self.command_id, self.customer_id, self.issued_at)


class Data(msgspec.Struct, frozen=True):
    """The source of a command's data.

    Attributes:
        read: returns the data of a request. Raises Problem.
        in_body: whether the data come from the body.
        optional: whether the body may be left out.
    """

    read: Callable[[Call], Awaitable[Mapping[str, Any]]]
    in_body: bool = True
    optional: bool = False


Show = Callable[[Call, NewCommand, Customer], web.Response]


def write(command_type: str, data: Data, show: Show) -> Callable[[Call], Awaitable[web.Response]]:
    """The view of an endpoint that makes a command.

    Args:
        command_type: a key of COMMAND_MODELS.
        data: the source of the command's data.
        show: makes the answer from the changed customer.
    """

    async def view(call: Call) -> web.Response:
        command = _new_command(call, command_type, await data.read(call))
        result = await _submit(call, command)
        return result if isinstance(result, web.Response) else _shown(call, command, show)

    return view


def _shown(call: Call, command: NewCommand, show: Show) -> web.Response:
    try:
        customer = call.gateway.customer(command.customer_id)
        if customer is None:
            raise customer_not_found()
        # The customer may have been erased since. A repeated request must not show their data.
        if customer.erased and show is not show_gone:
            raise customer_erased()
        return show(call, command, customer)
    except NotOwned:  # the command was applied, but another worker now has the customer
        return accepted(command.customer_id, command.command_id)


# The command and its result.


def _new_command(call: Call, command_type: str, data: Mapping[str, Any]) -> NewCommand:
    """The command of this request. Raises Problem 400 if its headers or its data are not valid."""
    issued_at = time.time_ns() // 1_000_000
    checked = _checked(command_type, data, issued_at)
    registers = "customerId" not in call.ids
    key = idempotency_key(call.request) or _made_up_key(call, checked)
    command_id = _command_id(call, key)
    call.request[CORRELATION] = call.correlation_id or command_id  # its events have the same one
    return NewCommand(
        key=key,
        command_id=command_id,
        command_type=command_type,
        customer_id=derived_id(command_id) if registers else call.customer_id,
        issued_at=issued_at,
        expected_version=None if registers else _expected_version(call),
        correlation_id=call.correlation_id,
        actor=call.principal.actor,
        data=data,
        checked=checked,
    )


def _expected_version(call: Call) -> int | None:
    """The version that the command expects; None without If-Match.

    Of several versions in If-Match it is the current one if that is among them, else the latest. The command can still
    be rejected, because the customer may change before it is applied.
    """
    versions = expected_versions(call.request)
    if versions is None:
        return None
    if len(versions) > 1:
        with suppress(NotOwned):
            customer = call.gateway.customer(call.customer_id)
            if customer is not None and customer.version in versions:
                return customer.version
    return max(versions)


def _command_id(call: Call, key: str) -> str:
    return derived_id(f"{call.principal.subject}|{call.request.method}|{call.path}|{key}")


def _made_up_key(call: Call, checked: CommandData) -> str:
    key = uuid4().hex
    if isinstance(checked, RegisterCustomerData):
        home = call.gateway.partition_of(email_hash(checked.email))
        for _ in range(_MOST_TRIES):
            if call.gateway.partition_of(derived_id(_command_id(call, key))) == home:
                break
            key = uuid4().hex
    return key


def _checked(command_type: str, data: Mapping[str, Any], issued_at: int) -> CommandData:
    try:
        return read_data(COMMAND_MODELS[command_type], data, issued_at=issued_at, forbid_unknown=True)
    except InvalidData as faults:
        raise invalid(*((fault.field, fault.code) for fault in faults.errors)) from None


async def _submit(call: Call, command: NewCommand) -> CommandResult | web.Response:
    """Send the command and wait for its result.

    Returns:
        The result of the applied command. Otherwise the answer for the client: that of the owner, or 202.

    Raises:
        Problem: the command was rejected, or 503.
    """
    try:
        expected = call.gateway.expect_result(command.customer_id, command.command_id)
    except NotOwned as away:
        return await _at_owner(call, command, away.partition)
    result = await _here(call, command, expected)
    if result is None:
        return accepted(command.customer_id, command.command_id)
    if result.outcome != "APPLIED":
        raise _refused(call, result)
    return result


def _refused(call: Call, result: CommandResult) -> Problem:
    problem = of_result(result)
    if problem.code == RejectionCode.VERSION_CONFLICT and expects_weakly(call.request):
        problem.detail = (
            "If-Match names a weak entity tag (W/), which never matches; send the ETag as it came."
        )
    return problem


async def _here(
    call: Call, command: NewCommand, expected: asyncio.Future[CommandResult]
) -> CommandResult | None:
    until = asyncio.get_running_loop().time() + call.context.limits.result_s
    try:
        await _produce(call, command)
        async with asyncio.timeout_at(until):
            return await expected
    except (TimeoutError, NotOwned):  # too late, or the partition was revoked; the command is in the log
        return None
    finally:
        expected.cancel()


async def _at_owner(call: Call, command: NewCommand, partition: int) -> web.Response:
    owner = None if call.forwarded else call.gateway.owner_url(partition)
    if owner is None:
        raise owner_away()
    headers = {**call.onward_headers(), IDEMPOTENCY_KEY: command.key}
    try:
        answer = await call.context.forwarder.write(
            call.request, owner, call.target, await call.body(), headers
        )
    except OwnerUnreachable as failure:
        if not failure.maybe_sent:
            raise owner_away() from None
        await _produce(call, command)
        return accepted(command.customer_id, command.command_id)
    if answer.status == 202:
        call.context.sent.remember(command.customer_id, command.command_id)
    return answer.response()


async def _produce(call: Call, command: NewCommand) -> None:
    try:
        await call.gateway.send_command(command.customer_id, command.encode(), traceparent(call.request))
    except CommandNotSent:
        raise unavailable("The command could not be produced.") from None
    call.context.sent.remember(command.customer_id, command.command_id)


# The data of a command.


async def _profile(call: Call) -> Mapping[str, Any]:
    return {"phone": None, **await call.json()}  # an absent phone clears it


async def _preferences(call: Call) -> Mapping[str, Any]:
    """The change of preferences. The chosen notifications may also be flat, as a GET shows them, but not both."""
    body = await call.json()
    flat = {name: body.pop(name) for name in _FLAT if name in body}
    if not flat:
        return body
    if body.get("notifications") is not None:
        raise invalid(*((name, "unknown_field") for name in flat))
    return {**body, "notifications": flat}


async def _reason(call: Call) -> Mapping[str, Any]:
    body = await call.optional_json()
    return {"reason": REASON_OF_ERASURE} if body is None else body


def _from_path(name: str) -> Data:
    async def read(call: Call) -> Mapping[str, Any]:
        return {name: call.ids[name]}

    return Data(read, in_body=False)


def _body_and_path(name: str) -> Data:
    """The body, and the id in the path. The body must not have that id, too."""

    async def read(call: Call) -> Mapping[str, Any]:
        body = await call.json()
        if name in body:
            raise invalid((name, "unknown_field"))
        return {**body, name: call.ids[name]}

    return Data(read)


BODY = Data(Call.json)
PROFILE = Data(_profile)
PREFERENCES = Data(_preferences)
REASON = Data(_reason, optional=True)
ADDRESS_ID = _from_path("addressId")
CANCELLATION = _body_and_path("redemptionId")
PAYMENT_METHOD_ID = _from_path("paymentMethodId")


# The answers.


def show_created(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """201 with the Customer and its Location."""
    headers = {"Location": customer_path(customer.id), ETAG: etag(customer.version)}
    return raw_response(call.context.renderings.of(customer), 201, headers)


def show_customer(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """200 with the Customer."""
    return raw_response(call.context.renderings.of(customer), headers={ETAG: etag(customer.version)})


def show_preferences(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """200 with the preferences."""
    view = preferences_view(customer.preferences)
    return json_response(view, headers={ETAG: etag(customer.version)})


def show_points(call: Call, command: NewCommand, customer: Customer, status: int = 201) -> web.Response:
    """The reward points, with 201 unless another status is given."""
    view = points_view(customer, call.gateway.points_history(customer.id, LEDGER_LINES))
    return json_response(view, status, {ETAG: etag(customer.version)})


def show_points_left(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """200 with the reward points, because nothing was created."""
    return show_points(call, command, customer, 200)


def show_address(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """201 with the DeliveryAddress and its Location."""
    added = derived_id(command.command_id)
    address = next((known for known in customer.addresses if known.id == added), None)
    if address is None:  # the request is a repeat, and the address was removed since; show it as it was added
        sent = cast(AddDeliveryAddress, command.message())
        address = DeliveryAddress(added, sent.address, sent.label, sent.is_default)
    return json_response(address_view(address), 201, _part_headers(customer, f"addresses/{added}"))


def show_payment_method(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """201 with the payment method and its Location."""
    added = derived_id(command.command_id)
    method = next((known for known in customer.payment_methods if known.id == added), None)
    if method is None:  # as with addresses
        sent = cast(AddPaymentMethod, command.message())
        method = PaymentMethod(added, sent.method_type, sent.last4, sent.provider, sent.expiry)
    return json_response(
        payment_method_view(method), 201, _part_headers(customer, f"payment-methods/{added}")
    )


def show_nothing(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """204 with the new version as ETag."""
    return no_content({ETAG: etag(customer.version)})


def show_gone(call: Call, command: NewCommand, customer: Customer) -> web.Response:
    """204 for an erasure. It also removes the customer from the cache of renderings."""
    call.context.renderings.forget(customer.id)
    return show_nothing(call, command, customer)


def _part_headers(customer: Customer, part: str) -> dict[str, str]:
    return {"Location": f"{customer_path(customer.id)}/{part}", ETAG: etag(customer.version)}
