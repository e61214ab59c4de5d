"""What the tables' rows must say for a customer, in the tables' own format (tables/*.py, worker/domain/state.py).

Fields that equal their default are left out there, so both sides are completed before they are compared.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.verify.customer import Customer
from worker.verify.rules import YEAR_DAYS, Days, History

_CUSTOMER_DEFAULTS: dict[str, Any] = {
    "phone": None,
    "birth_date": None,
    "status": "ACTIVE",
    "level": "STANDARD",
    "vip_since": None,
    "points": 0,
    "debt": 0,
    "lifetime_earned": 0,
    "lifetime_redeemed": 0,
    "lifetime_reversed": 0,
    "spending": {},
    "converted": {},
    "order_count": 0,
    "last_order_at": None,
    "paid": {},
    "payment_count": 0,
    "last_payment_at": None,
    "addresses": [],
    "preferences": {},
    "payment_methods": [],
    "created_at": 0,
    "version": 0,
    "sequence": 0,
    "erased": False,
}
_PREFERENCES = {
    "marketing_emails": False,
    "language": "en-US",
    "currency": "USD",
    "enabled_types": ["ORDER", "DELIVERY"],
    "enabled_channels": ["EMAIL"],
}
_ADDRESS = {"label": None, "is_default": False}
_METHOD = {"provider": None, "expiry": None}
_LEDGER_FIELDS = (
    "amount",
    "currency",
    "points",
    "occurred_at",
    "rules_version",
    "sequence",
    "order_id",
    "returned",
)
_LEDGER_DEFAULTS = (None, 0)  # of the last two

_Json = dict[str, Any]


def differing_fields(row: Mapping[str, Any], customer: Customer, sequence: int) -> list[str]:
    """Names of the fields in which a row of the customers table is not this customer.

    updated_at is when the worker processed the last input, which nobody can recompute.
    """
    found = {**_CUSTOMER_DEFAULTS, **(row.get("customer") or {})}
    found.pop("updated_at", None)
    expected = _expected(customer, sequence)
    wrong = [
        field
        for field in sorted(found.keys() | expected.keys())
        if field not in ("spending", "converted", "addresses", "preferences", "payment_methods")
        and (field not in found or field not in expected or found[field] != expected[field])
    ]
    if row.get("email_claim") != customer.email_claim:
        wrong.append("email_claim")
    if _completed_all(_ADDRESS, found["addresses"]) != [_stored_address(each) for each in customer.addresses]:
        wrong.append("addresses")
    if _completed(_PREFERENCES, found["preferences"]) != _stored_preferences(customer.preferences):
        wrong.append("preferences")
    if _completed_all(_METHOD, found["payment_methods"]) != customer.payment_methods:
        wrong.append("payment_methods")
    try:
        history = customer.history
        for name, days, returned in (
            ("spending", history.days, history.returned_days()),
            ("converted", history.converted, history.returned_converted()),
        ):
            wrong += _differing_spending(name, found[name], days, returned, history)
    except (AttributeError, TypeError, ValueError):
        return [*wrong, "spending"]
    return wrong


def ledger_lines(
    customer: Customer, sequences: Mapping[tuple[str, str], int]
) -> dict[tuple[str, str], list[Any]]:
    """(kind, id) -> the line. sequences: the customer's event sequence after each line's input."""
    lines: dict[tuple[str, str], list[Any]] = {}
    for order in customer.history.orders.values():
        points, version = customer.points_of(order)
        returned = customer.history.returned.get(order.id, 0)
        lines["O", order.id] = [order.amount, order.currency, points, order.at, version, 0, None, returned]
    for payment in customer.payments.values():
        lines["P", payment.id] = [payment.amount, payment.currency, 0, payment.occurred_at, "", 0, None, 0]
    for redemption, (points, issued_at, order_id) in customer.redemptions.items():
        lines["R", redemption] = [0, "", points, issued_at, "", 0, order_id, 0]
    for back, lost in customer.returns.values():
        _, version = customer.points_of(customer.history.orders[back.order_id])
        lines["T", back.id] = [
            back.amount,
            back.currency,
            lost,
            back.occurred_at,
            version,
            0,
            back.order_id,
            0,
        ]
    for key, line in lines.items():
        line[5] = sequences[key]
    return lines


def differing_line_fields(line: list[Any], expected: list[Any]) -> list[str]:
    """Names of the fields in which a ledger line is not the expected one."""
    missing = len(expected) - len(line)
    padded = [*line, *_LEDGER_DEFAULTS[-missing:]] if 0 < missing <= len(_LEDGER_DEFAULTS) else line
    wrong = [name for name, one, other in zip(_LEDGER_FIELDS, padded, expected, strict=False) if one != other]
    return wrong if len(padded) == len(expected) else [*wrong, "length"]


def _expected(customer: Customer, sequence: int) -> _Json:
    orders, payments = customer.history.orders.values(), customer.payments.values()
    paid: dict[str, int] = {}
    for payment in payments:
        paid[payment.currency] = paid.get(payment.currency, 0) + payment.amount
    return {
        "id": customer.id,
        "name": customer.name,
        "email": customer.email,
        "phone": customer.phone,
        "birth_date": customer.birth_date,
        "status": customer.status,
        "level": customer.level,
        "vip_since": customer.vip_since,
        "points": customer.points,
        "debt": customer.debt,
        "lifetime_earned": customer.earned,
        "lifetime_redeemed": customer.redeemed,
        "lifetime_reversed": customer.reversed,
        "order_count": len(orders),
        "last_order_at": max((order.at for order in orders), default=None),
        "paid": paid,
        "payment_count": len(payments),
        "last_payment_at": max((payment.occurred_at for payment in payments), default=None),
        "created_at": customer.created_at,
        "version": customer.version,
        "sequence": sequence,
        "erased": customer.erased,
    }


def _differing_spending(
    name: str, found: Mapping[str, Any], expected: Days, returned: Days, history: History
) -> Iterator[str]:
    """The days that a row keeps may be fewer than there were, but never fewer than the year that is shown."""
    if found.keys() != expected.keys():
        yield name
        return
    last = history.last_day or 0
    for currency, spent in found.items():
        days = expected[currency]
        if spent.get("total", 0) != sum(days.values()):
            yield f"{name}.{currency}.total"
        if (spent.get("annual", 0), spent.get("annual_day", 0)) != (history.year(expected, currency), last):
            yield f"{name}.{currency}.annual"
        kept = _kept_days(spent.get("days", {}))
        year = {day for day in days if day > last - YEAR_DAYS}
        if not year <= kept.keys() or any(days.get(day) != amount for day, amount in kept.items()):
            yield f"{name}.{currency}.days"
        yield from _differing_returned(f"{name}.{currency}", spent, returned.get(currency, {}), last)


def _kept_days(stored: Any) -> dict[int, int]:
    """What a row keeps by day: of each day but the last the amount and the days until the next, as text; or an object,
    as an earlier version wrote it."""
    if isinstance(stored, dict):
        return {int(day): amount for day, amount in stored.items()}
    day, last, amount, before = stored
    kept = {}
    numbers = [int(number) for number in before.split(",")[:-1]]
    for spent, gap in zip(numbers[::2], numbers[1::2], strict=True):
        kept[day] = spent
        day += gap
    if day != last:
        raise ValueError(f"the days end with {day}, not {last}")
    return {**kept, last: amount}


def _differing_returned(
    name: str, spent: Mapping[str, Any], returned: Mapping[int, int], last: int
) -> Iterator[str]:
    """Of returns a row keeps the days of the year that is shown, and no others."""
    if spent.get("returned", 0) != sum(returned.values()):
        yield f"{name}.returned"
    year = {day: amount for day, amount in returned.items() if day > last - YEAR_DAYS}
    if {int(day): amount for day, amount in spent.get("returned_days", {}).items()} != year:
        yield f"{name}.returned_days"


def _completed(defaults: _Json, stored: Any) -> Any:
    """What is stored, with what was left out; as it stands when it has another shape."""
    return {**defaults, **stored} if isinstance(stored, dict) else stored


def _completed_all(defaults: _Json, stored: Any) -> Any:
    return [_completed(defaults, each) for each in stored] if isinstance(stored, list) else stored


def _stored_address(address: _Json) -> _Json:
    where = address["address"]
    return {
        "id": address["id"],
        "address": {
            "street": where["street"],
            "city": where["city"],
            "zip_code": where["zipCode"],
            "country": where["country"],
        },
        "label": address["label"],
        "is_default": address["isDefault"],
    }


def _stored_preferences(preferences: _Json) -> _Json:
    return {
        "marketing_emails": preferences["marketingEmails"],
        "language": preferences["language"],
        "currency": preferences["currency"],
        "enabled_types": preferences["enabledTypes"],
        "enabled_channels": preferences["enabledChannels"],
    }
