"""The rows that a customer must have, in the format of the tables (tables/*.py, worker/domain/state.py).

The tables omit fields that equal their default. So both sides are completed before the comparison.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from worker.verify.model.customer import Customer
from worker.verify.model.rules import YEAR_DAYS, Days, History

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
    "lifetime_restored": 0,
    "lifetime_adjusted": 0,
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
    """Names of the fields in which a row of the customers table differs from the recomputed customer.

    updated_at is skipped: it is the worker's time of processing, which cannot be recomputed.

    Args:
        row: the row.
        customer: the recomputed customer, at the version of the row.
        sequence: the customer's event sequence at that version.
    """
    found = {**_CUSTOMER_DEFAULTS, **(row.get("customer") or {})}
    found.pop("updated_at", None)
    tracked, filled = found.pop("tracked", False), found.pop("filled", None)
    expected = _expected(customer, sequence)
    wrong = [
        field
        for field in sorted(found.keys() | expected.keys())
        if field not in ("spending", "converted", "addresses", "preferences", "payment_methods")
        and (field not in found or field not in expected or found[field] != expected[field])
    ]
    if row.get("email_claim") != customer.email_claim:
        wrong.append("email_claim")
    if tracked and filled != customer.history.filled():
        wrong.append("filled")
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


def differing_old_days(
    row: Mapping[str, Any], customer: Customer, old_days: Mapping[str, Mapping[int, int]]
) -> bool:
    """Whether the customer's row and its day_totals rows together differ from the recomputed days.

    A missing day, a day in both places, and another amount are differences. Rows of an earlier version, without the
    tracked flag, had no day_totals rows and are skipped.

    Args:
        row: the row of the customers table.
        customer: the recomputed customer.
        old_days: S (as spent) or C (as converted) and the currency, as one key -> day number -> minor units.
    """
    stored = row.get("customer") or {}
    if not stored.get("tracked", False):
        return False
    for kind, name, days in (
        ("S", "spending", customer.history.days),
        ("C", "converted", customer.history.converted),
    ):
        for currency, expected in days.items():
            try:
                recent = _decoded_days(stored.get(name, {}).get(currency, {}).get("days", {}))
            except (AttributeError, TypeError, ValueError):
                return True
            old = old_days.get(kind + currency, {})
            if recent.keys() & old.keys() or {**recent, **old} != expected:
                return True
    return False


def ledger_lines(
    customer: Customer, sequences: Mapping[tuple[str, str], int], others: Mapping[str, tuple[int, str]]
) -> dict[tuple[str, str], list[Any]]:
    """The ledger lines that the customer must have.

    Args:
        customer: the recomputed customer.
        sequences: (kind, id) -> the customer's event sequence after the line's input.
        others: id -> time of issue and rules of the commands without a kind of their own.

    Returns:
        (kind, id) -> line, without its change. worker.verify.checks.account names the kinds.
    """
    lines: dict[tuple[str, str], list[Any]] = {}
    for order in customer.history.orders.values():
        points, version = customer.points_of(order)
        returned = customer.history.returned.get(order.id, 0)
        lines["O", order.id] = [order.amount, order.currency, points, order.at, version, 0, None, returned]
    for payment in customer.payments.values():
        lines["P", payment.id] = [payment.amount, payment.currency, 0, payment.occurred_at, "", 0, None, 0]
    for redemption, (points, issued_at, order_id) in customer.redemptions.items():
        lines["R", redemption] = [0, "", points, issued_at, "", 0, order_id, 0]
        if redemption in customer.cancelled:
            lines["C", redemption] = [0, "", points, customer.cancelled[redemption], "", 0, order_id, 0]
    for adjustment, (points, issued_at) in customer.adjustments.items():
        lines["A", adjustment] = [0, "", points, issued_at, "", 0, None, 0]
    for version, (issued_at, by) in others.items():
        lines["K", version] = [0, "", 0, issued_at, by, 0, None, 0]
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
    """Names of the fields in which a ledger line differs, without its change (worker.verify.checks.changes).

    A line may lack its last fields when they are defaults.
    """
    line = line[: len(_LEDGER_FIELDS)]
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
        "lifetime_restored": customer.restored,
        "lifetime_adjusted": customer.adjusted,
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
    """Yield the differing fields. A row may drop old days, but never days of the year that annual spending covers."""
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
        recent = _decoded_days(spent.get("days", {}))
        year = {day for day in days if day > last - YEAR_DAYS}
        if not year <= recent.keys() or any(days.get(day) != amount for day, amount in recent.items()):
            yield f"{name}.{currency}.days"
        yield from _differing_returned(f"{name}.{currency}", spent, returned.get(currency, {}), last)


def _decoded_days(stored: Any) -> dict[int, int]:
    """Decode the days in a row, as day number -> minor units.

    The stored list is [first day, last day, amount of the last day, text, and maybe a mark]. For each earlier day, the
    text has the amount and the number of days until the next. A mark adds three numbers: a day, a day of the list, and
    where the amount of that day begins in the text. It begins at -1 without a mark. All earlier days are before the first
    number. An earlier version stored an object.

    Raises:
        ValueError: the days do not end with the last day, or the mark is wrong.
    """
    if isinstance(stored, dict):
        return {int(day): amount for day, amount in stored.items()}
    day, last, amount, before, *mark = stored
    days = {}
    _check_mark(day, before, *mark)
    numbers = [int(number) for number in before.split(",")[:-1]]
    for spent, gap in zip(numbers[::2], numbers[1::2], strict=True):
        days[day] = spent
        day += gap
    if day != last:
        raise ValueError(f"the days end with {day}, not {last}")
    return {**days, last: amount}


def _check_mark(first: int, before: str, marked: int = 0, day: int = 0, at: int = -1) -> None:
    """Raise ValueError if the mark of days is wrong. Arguments as they are stored."""
    if at < 0:
        return
    *numbers, rest = before[:at].split(",")
    gaps = [int(number) for number in numbers[1::2]]
    is_between = not rest and len(numbers) % 2 == 0
    if not is_between or day != first + sum(gaps) or (gaps and day - gaps[-1] >= marked):
        raise ValueError("the mark of the days is wrong")


def _differing_returned(
    name: str, spent: Mapping[str, Any], returned: Mapping[int, int], last: int
) -> Iterator[str]:
    """Yield the differing fields of returns. A row keeps exactly the days of the year that annual spending covers."""
    if spent.get("returned", 0) != sum(returned.values()):
        yield f"{name}.returned"
    year = {day: amount for day, amount in returned.items() if day > last - YEAR_DAYS}
    if {int(day): amount for day, amount in spent.get("returned_days", {}).items()} != year:
        yield f"{name}.returned_days"


def _completed(defaults: _Json, stored: Any) -> Any:
    """The stored object with its omitted defaults. Any other value is returned unchanged."""
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
