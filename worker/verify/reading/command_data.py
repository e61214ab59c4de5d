"""Checks and normalises the data of each command (contract, sections 3 and 6).

Each reader takes the data and issuedAt in ms since 1970 UTC. It raises Bad for data that the contract refuses.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from worker.verify.reading import card_numbers, text
from worker.verify.reading.text import check, identifier

LEVELS = ("STANDARD", "SILVER", "GOLD", "PLATINUM")
STATUSES = ("ACTIVE", "INACTIVE", "SUSPENDED")
PAYMENT_TYPES = (
    "CREDIT_CARD",
    "DEBIT_CARD",
    "BANK_TRANSFER",
    "DIGITAL_WALLET",
    "MOBILE_PAYMENT",
    "GIFT_CARD",
    "STORE_CREDIT",
)
TYPES = ("ORDER", "DELIVERY", "PAYMENT", "MEMBERSHIP", "POINTS", "PROMOTION")
CHANNELS = ("EMAIL", "SMS", "PUSH", "IN_APP")

Data = Mapping[str, Any]


def _register(data: Data, issued_at: int) -> dict[str, Any]:
    address, chosen, phone = data.get("address"), data.get("preferences"), data.get("phone")
    born = data.get("birthDate")
    return {
        "name": text.name(data.get("name")),
        "email": text.email(data.get("email")),
        "phone": None if phone is None else text.phone(phone),
        "birthDate": None if born is None else text.birth_date(born, issued_at),
        "address": None if address is None else _address(address),
        "preferences": {} if chosen is None else _preferences(chosen),
    }


def _update_profile(data: Data, issued_at: int) -> dict[str, Any]:
    check("phone" in data)
    phone = data["phone"]
    return {
        "name": text.name(data.get("name")),
        "email": text.email(data.get("email")),
        "phone": None if phone is None else text.phone(phone),
    }


def _change_status(data: Data, issued_at: int) -> dict[str, Any]:
    return {"newStatus": _one_of(data.get("newStatus"), STATUSES), "reason": _reason(data)}


def _add_address(data: Data, issued_at: int) -> dict[str, Any]:
    label = data.get("label")
    return {
        "address": _address(data),
        "label": None if label is None else text.text(label, 0, 40),
        "isDefault": bool(_flag(data.get("isDefault"))),
    }


def _address_id(data: Data, issued_at: int) -> dict[str, Any]:
    return {"addressId": identifier(data.get("addressId"))}


def _update_preferences(data: Data, issued_at: int) -> dict[str, Any]:
    return {"preferences": _preferences(data)}


def _add_payment_method(data: Data, issued_at: int) -> dict[str, Any]:
    provider, expiry, last4 = data.get("provider"), data.get("expiry"), data.get("last4")
    check(isinstance(last4, str) and re.fullmatch(r"[0-9]{4}", last4))
    check(expiry is None or (isinstance(expiry, str) and re.fullmatch(r"[0-9]{4}-(0[1-9]|1[0-2])", expiry)))
    return {
        "type": _one_of(data.get("type"), PAYMENT_TYPES),
        "last4": last4,
        "provider": None if provider is None else text.text(provider, 1, 100, blank=False),
        "expiry": expiry,
    }


def _payment_method_id(data: Data, issued_at: int) -> dict[str, Any]:
    return {"paymentMethodId": identifier(data.get("paymentMethodId"))}


def _redeem(data: Data, issued_at: int) -> dict[str, Any]:
    points, order = data.get("points"), data.get("orderId")
    check(isinstance(points, Decimal) and points == points.to_integral_value() and 1 <= points < 2**53)
    return {
        "points": int(points or 0),
        "reason": _reason(data),
        "redemptionId": identifier(data.get("redemptionId")),
        "orderId": None if order is None else identifier(order),
    }


def _cancel(data: Data, issued_at: int) -> dict[str, Any]:
    return {"redemptionId": identifier(data.get("redemptionId")), "reason": _reason(data)}


def _adjust(data: Data, issued_at: int) -> dict[str, Any]:
    points = data.get("points")
    check(isinstance(points, Decimal) and points == points.to_integral_value())
    check(points and -1_000_000 <= points <= 1_000_000)
    return {
        "points": int(points or 0),
        "reason": _reason(data),
        "adjustmentId": identifier(data.get("adjustmentId")),
    }


def _upgrade(data: Data, issued_at: int) -> dict[str, Any]:
    return {"newLevel": _one_of(data.get("newLevel"), LEVELS), "reason": _reason(data)}


def _erase(data: Data, issued_at: int) -> dict[str, Any]:
    return {"reason": _reason(data)}


def _reason(data: Data) -> str:
    return text.text(data.get("reason"), 1, 500, blank=False)


def _address(data: Any) -> dict[str, str]:
    check(isinstance(data, dict))
    return {
        "street": text.worded(data.get("street"), 1, 200),
        "city": text.worded(data.get("city"), 1, 200),
        "zipCode": text.text(data.get("zipCode"), 1, 20, blank=False),
        "country": text.country(data.get("country")),
    }


def _preferences(data: Any) -> dict[str, Any]:
    """The preferences that the command sets; the others are left out."""
    check(isinstance(data, dict))
    inner = data.get("notifications")
    check(inner is None or isinstance(inner, dict))
    inner = inner or {}
    named = {
        "marketingEmails": _flag(data.get("marketingEmails")),
        "language": None if data.get("language") is None else text.language(data["language"]),
        "currency": None if data.get("currency") is None else text.currency(data["currency"]),
        "enabledTypes": _chosen(inner.get("enabledTypes"), TYPES),
        "enabledChannels": _chosen(inner.get("enabledChannels"), CHANNELS),
    }
    return {field: value for field, value in named.items() if value is not None}


def _chosen(value: Any, allowed: tuple[str, ...]) -> list[str] | None:
    if value is None:
        return None
    check(isinstance(value, list) and len(value) <= 100)
    check(all(isinstance(each, str) and each in allowed for each in value))
    return [each for each in allowed if each in value]


def _flag(value: Any) -> bool | None:
    check(value is None or isinstance(value, bool))
    return None if value is None else bool(value)


def _one_of(value: Any, allowed: tuple[str, ...]) -> str:
    check(isinstance(value, str) and value in allowed)
    return str(value)


def _without_cards(reader: Callable[[Data, int], dict[str, Any]]) -> Callable[[Data, int], dict[str, Any]]:
    def read(data: Data, issued_at: int) -> dict[str, Any]:
        check(not card_numbers.of_data(data))
        return reader(data, issued_at)

    return read


READERS: dict[str, Callable[[Data, int], dict[str, Any]]] = {
    kind: _without_cards(reader)
    for kind, reader in {
        "RegisterCustomer": _register,
        "UpdateProfile": _update_profile,
        "ChangeStatus": _change_status,
        "AddDeliveryAddress": _add_address,
        "RemoveDeliveryAddress": _address_id,
        "SetDefaultDeliveryAddress": _address_id,
        "UpdatePreferences": _update_preferences,
        "AddPaymentMethod": _add_payment_method,
        "RemovePaymentMethod": _payment_method_id,
        "RedeemPoints": _redeem,
        "CancelRedemption": _cancel,
        "AdjustPoints": _adjust,
        "UpgradeMembership": _upgrade,
        "EraseCustomer": _erase,
    }.items()
}
