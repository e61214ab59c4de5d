"""The sample as messages of the contract.

Rules:
- Every id is made from the customer's number or the purchase's line, so sending the sample again changes nothing.
- Names and emails are made up from the number; no two customers share an email.
"""

import uuid
from collections.abc import Mapping
from datetime import date
from typing import Any, NamedTuple

import msgspec

from worker.demo.people import email_of, name_of
from worker.demo.purchases import Purchase

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_DNS, "demo.customer-context")

_encode = msgspec.json.Encoder().encode


class Message(NamedTuple):
    """A record for one of the input topics: key and value as they go to Kafka."""

    key: bytes
    value: bytes


def customer_id(number: int) -> str:
    """The customerId of a customer of the sample."""
    return f"customer-{number:04d}"


def order_id(purchase: Purchase) -> str:
    """The orderId of a purchase."""
    return _id("order", purchase.customer, purchase.nth)


def registration_id(number: int) -> str:
    """The commandId that registers a customer of the sample."""
    return _id("register", number)


def registration(number: int, day: date) -> Message:
    """The command that registers a customer. day: of the first purchase."""
    return command(
        registration_id(number),
        "RegisterCustomer",
        customer_id(number),
        f"{day}T00:00:00Z",
        {"name": name_of(number), "email": email_of("", number)},
    )


def order(purchase: Purchase) -> Message:
    """The OrderCompletedEvent of a purchase, at noon of its day."""
    return order_completed(
        _id("order-event", purchase.customer, purchase.nth),
        order_id(purchase),
        customer_id(purchase.customer),
        purchase.amount,
        f"{purchase.day}T12:00:00Z",
    )


def payment(purchase: Purchase) -> Message:
    """The PaymentCompletedEvent of a purchase: all of it, one minute later."""
    return payment_completed(
        _id("payment-event", purchase.customer, purchase.nth),
        _id("payment", purchase.customer, purchase.nth),
        order_id(purchase),
        customer_id(purchase.customer),
        purchase.amount,
        f"{purchase.day}T12:01:00Z",
    )


def command(
    command_id: str,
    command_type: str,
    customer: str,
    issued_at: str,
    data: Mapping[str, Any],
    actor: str | None = None,
) -> Message:
    """Any command. issued_at: RFC 3339; actor: None if nobody is named."""
    return _message(
        customer,
        {
            "commandId": command_id,
            "commandType": command_type,
            "customerId": customer,
            "issuedAt": issued_at,
            **({} if actor is None else {"actor": actor}),
            "data": data,
        },
    )


def order_completed(event_id: str, order: str, customer: str, amount: str, occurred_on: str) -> Message:
    """Any order in US dollars."""
    return _message(
        customer,
        {
            "eventId": event_id,
            "orderId": order,
            "customerId": customer,
            "totalAmount": dollars(amount),
            "occurredOn": occurred_on,
        },
    )


def payment_completed(
    event_id: str, payment: str, order: str, customer: str, amount: str, occurred_on: str
) -> Message:
    """Any payment in US dollars."""
    return _message(
        customer,
        {
            "eventId": event_id,
            "paymentId": payment,
            "orderId": order,
            "customerId": customer,
            "amount": dollars(amount),
            "occurredOn": occurred_on,
        },
    )


def order_returned(
    event_id: str, return_id: str, order: str, customer: str, amount: str, occurred_on: str
) -> Message:
    """Any return of some or all of an order in US dollars."""
    return _message(
        customer,
        {
            "eventId": event_id,
            "returnId": return_id,
            "orderId": order,
            "customerId": customer,
            "refundAmount": dollars(amount),
            "occurredOn": occurred_on,
        },
    )


def dollars(amount: str) -> dict[str, str]:
    """Money of the contract. amount: such as "12.50"."""
    return {"amount": amount, "currency": "USD"}


def _message(key: str, value: dict[str, Any]) -> Message:
    return Message(key.encode(), _encode(value))


def _id(kind: str, *numbers: int) -> str:
    return str(uuid.uuid5(_NAMESPACE, "|".join((kind, *map(str, numbers)))))
