"""One sample of each message, and short ways to build variants."""

import json
from collections.abc import Callable
from typing import Any

from worker.domain import events
from worker.domain.values import (
    Address,
    CustomerStatus,
    DeliveryAddress,
    MembershipLevel,
    NotificationChannel,
    NotificationType,
    Preferences,
)
from worker.wire.events import encode_events
from worker.wire.inputs import decode_order, decode_payment, decode_return
from worker.wire.results import CommandResult, FieldError

ADDRESS = Address("Unter den Linden 1", "Berlin", "10117", "DE")
DELIVERY = DeliveryAddress("3b0f7e3c-7a2f-5d0c-8d7f-0c1d2e3f4a5b", ADDRESS, "Home", True)
CHOSEN = Preferences(
    marketing_emails=True,
    language="de-DE",
    currency="EUR",
    enabled_types=(NotificationType.ORDER, NotificationType.POINTS),
    enabled_channels=(NotificationChannel.EMAIL, NotificationChannel.PUSH),
)

EVENTS: dict[str, events.Event] = {
    "CustomerCreatedEvent": events.CustomerCreated(
        'Zoë "Z" O\'Neil',
        "zoe@example.org",
        None,
        "1990-05-17",
        MembershipLevel.STANDARD,
        CustomerStatus.ACTIVE,
        Preferences(),
        1_795_515_330_123,
    ),
    "CustomerProfileUpdatedEvent": events.CustomerProfileUpdated(
        "Zoë", "zoe@example.net", "+14155552671", ("email", "phone")
    ),
    "CustomerStatusChangedEvent": events.CustomerStatusChanged(
        CustomerStatus.ACTIVE, CustomerStatus.SUSPENDED, "chargeback"
    ),
    "MembershipLevelUpgradedEvent": events.MembershipLevelUpgraded(
        MembershipLevel.STANDARD, MembershipLevel.GOLD, 200_000, "USD", "1"
    ),
    "CustomerVipUpgradedEvent": events.CustomerVipUpgraded(
        MembershipLevel.PLATINUM, 1_000_000, "USD", 20_417, 20_781, 1_795_515_330_123, "1"
    ),
    "DeliveryAddressAddedEvent": events.DeliveryAddressAdded(DELIVERY, 1),
    "DeliveryAddressRemovedEvent": events.DeliveryAddressRemoved(DELIVERY.id, ADDRESS, 0, None),
    "NotificationPreferencesUpdatedEvent": events.NotificationPreferencesUpdated(Preferences(), CHOSEN),
    "RewardPointsEarnedEvent": events.RewardPointsEarned(12, 40, 0, "ORDER", "o-1", 12_990, "USD", "1"),
    "RewardPointsRedeemedEvent": events.RewardPointsRedeemed(10, 30, "voucher", "r-1", None),
    "CustomerSpendingUpdatedEvent": events.CustomerSpendingUpdated(
        12_990, "USD", 250_000, 12_990, "o-1", "PURCHASE", 1_795_515_330_123
    ),
    "RewardPointsReversedEvent": events.RewardPointsReversed(12, 0, 3, "o-1", "b-1"),
    "RewardPointsRestoredEvent": events.RewardPointsRestored(
        10, 37, 0, "order failed", "r-1", "o-1", 1_795_515_330_123
    ),
    "RewardPointsAdjustedEvent": events.RewardPointsAdjusted(
        -5, 32, 0, "counted twice", "a-1", 1_795_515_330_123
    ),
    "CustomerErasedEvent": events.CustomerErased("asked for"),
}

COMMANDS: dict[str, dict[str, Any]] = {
    "RegisterCustomer": {
        "name": "  Zoë ",
        "email": " Zoe@EXAMPLE.org",
        "phone": "+1 (415) 555-26.71",
        "birthDate": "1990-05-17",
        "address": {"street": "Unter den Linden 1", "city": "Berlin", "zipCode": "10117", "country": "DE"},
        "preferences": {
            "marketingEmails": True,
            "language": "de-DE",
            "currency": "EUR",
            "notifications": {"enabledTypes": ["POINTS", "ORDER"], "enabledChannels": ["PUSH", "EMAIL"]},
        },
    },
    "UpdateProfile": {"name": "Zoë", "email": "zoe@example.net", "phone": None},
    "ChangeStatus": {"newStatus": "SUSPENDED", "reason": "chargeback"},
    "AddDeliveryAddress": {
        "street": "Unter den Linden 1",
        "city": "Berlin",
        "zipCode": "10117",
        "country": "DE",
        "label": "Home",
        "isDefault": True,
    },
    "RemoveDeliveryAddress": {"addressId": DELIVERY.id},
    "SetDefaultDeliveryAddress": {"addressId": DELIVERY.id},
    "UpdatePreferences": {"language": "fr", "notifications": {"enabledTypes": []}},
    "AddPaymentMethod": {"type": "CREDIT_CARD", "last4": "4242", "provider": "Visa", "expiry": "2029-05"},
    "RemovePaymentMethod": {"paymentMethodId": "3b0f7e3c-7a2f-5d0c-8d7f-0c1d2e3f4a5b"},
    "RedeemPoints": {"points": 10, "reason": "voucher", "redemptionId": "r-1", "orderId": "o-1"},
    "CancelRedemption": {"redemptionId": "r-1", "reason": "order failed"},
    "AdjustPoints": {"points": -5, "reason": "counted twice", "adjustmentId": "a-1"},
    "UpgradeMembership": {"newLevel": "GOLD", "reason": "goodwill"},
    "EraseCustomer": {"reason": "asked for"},
}

ORDER: dict[str, Any] = {
    "eventId": "e-1",
    "orderId": "o-1",
    "customerId": "c-1",
    "totalAmount": {"amount": "129.90", "currency": "USD"},
    "occurredOn": "2026-11-24T10:15:30.123Z",
}
PAYMENT: dict[str, Any] = {
    "eventId": "e-2",
    "paymentId": "p-1",
    "orderId": "o-1",
    "amount": {"amount": "129.90", "currency": "USD"},
    "occurredOn": "2026-11-24T11:15:30+01:00",
    "customerId": "c-1",
    "transactionId": "t-1",
    "correlationId": "k-1",
}
RETURN: dict[str, Any] = {
    "eventId": "e-3",
    "returnId": "b-1",
    "orderId": "o-1",
    "customerId": "c-1",
    "refundAmount": {"amount": "29.90", "currency": "USD"},
    "occurredOn": "2026-11-25T10:15:30.123Z",
}
CONSUMED: dict[str, tuple[dict[str, Any], Callable[..., Any]]] = {
    "OrderCompletedEvent": (ORDER, decode_order),
    "PaymentCompletedEvent": (PAYMENT, decode_payment),
    "OrderReturnedEvent": (RETURN, decode_return),
}

RESULTS = (
    CommandResult("k-1", "RegisterCustomer", "c-1", "APPLIED", 1),
    CommandResult(
        "k-2", None, "c-1", "REJECTED", None, "VALIDATION_FAILED", "", (FieldError("email", "required"),)
    ),
)


def command(kind: str, data: object, /, **envelope: object) -> dict[str, Any]:
    """A flat command with ids of its own; envelope fields replace or add to it."""
    flat = {"commandId": "k-1", "commandType": kind, "customerId": "c-1", "issuedAt": "2026-11-24T10:15:30Z"}
    return flat | {"data": data} | envelope


def published(event: events.Event) -> bytes:
    """The CloudEvent that one event of an order becomes."""
    [(_, encoded)] = encode_events("c-1", "o-1", "e-1", None, 16, "2026-11-24T10:15:30.123Z", [event])
    return encoded


def cloud_event(kind: str, data: object, **attributes: object) -> bytes:
    """A CloudEvent in structured mode; attributes replace or add to its own."""
    envelope = {"specversion": "1.0", "id": "ce-1", "source": "/shop", "type": kind, "data": data}
    return json.dumps(envelope | attributes).encode()


def binary_headers(kind: str, **attributes: str) -> list[tuple[str, bytes]]:
    """The headers of a CloudEvent in binary mode."""
    all_attributes = {"specversion": "1.0", "id": "ce-1", "source": "/shop", "type": kind} | attributes
    return [("content-type", b"application/json")] + [
        (f"ce_{name}", text.encode()) for name, text in all_attributes.items()
    ]
