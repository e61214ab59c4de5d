"""A few customers with a story each, so that every page of the desk has something to show.

Rules:
- Each id, name and time is fixed. So a story that is told again changes nothing.
- A chapter needs what the chapters before it did: a redemption needs points, and a debt needs a redemption.
- Payments and dead letters have no event of their own. They go with messages that have one.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from worker.demo import messages
from worker.demo.messages import Message
from worker.kafka.topics import Catalogue, Topic

VIP = "vip-grace"
PLATINUM = "platinum-omar"
GOLD = "gold-linh"
SILVER = "silver-paula"
STANDARD = "standard-noor"
IN_DEBT = "standard-nils"

_GRACE_ORDERS = (
    ("2025-07-08", "612.40"),
    ("2025-08-19", "890.00"),
    ("2025-09-02", "1249.90"),
    ("2025-10-14", "438.75"),
    ("2025-11-28", "2310.00"),
    ("2025-12-11", "1875.25"),
    ("2026-01-22", "306.10"),
    ("2026-03-05", "1120.00"),
    ("2026-04-17", "764.80"),
    ("2026-05-09", "1399.00"),
    ("2026-06-12", "548.30"),
)


class Step(NamedTuple):
    """A message and its topic. outcome: the causationid of its event, or the commandId of its result; None for neither."""

    topic: Topic
    message: Message
    outcome: str | None


Chapter = tuple[Step, ...]
"""What may be sent at once, in this order."""


def chapters(topics: Catalogue) -> tuple[Chapter, ...]:
    """All stories. Each chapter needs the outcomes of the one before."""
    return (_arrivals(topics), _redemptions(topics), _second_thoughts(topics))


def _arrivals(topics: Catalogue) -> Chapter:
    """Who they are and what they bought."""
    return (
        _command(
            topics,
            VIP,
            "RegisterCustomer",
            "2025-07-01",
            name="Grace Okafor",
            email="grace.okafor@example.com",
            phone="+31 20 555 0142",
            birthDate="1984-03-17",
            address=_address("Prinsengracht 263", "1016 GV", "Amsterdam", "NL"),
            preferences={"marketingEmails": True, "language": "nl-NL", "currency": "EUR"},
        ),
        _command(
            topics,
            VIP,
            "AddDeliveryAddress",
            "2025-07-02",
            **_address("Rua das Flores 28", "4050-262", "Porto", "PT"),
            label="Work",
        ),
        _command(
            topics,
            VIP,
            "AddPaymentMethod",
            "2025-07-02",
            type="CREDIT_CARD",
            last4="4242",
            provider="Visa",
            expiry="2028-09",
        ),
        *_orders(topics, VIP, _GRACE_ORDERS),
        _command(
            topics,
            PLATINUM,
            "RegisterCustomer",
            "2024-11-03",
            name="Omar Haddad",
            email="omar.haddad@example.com",
            phone="+43 316 555 017",
            address=_address("Herrengasse 16", "8010", "Graz", "AT"),
        ),
        *_orders(
            topics,
            PLATINUM,
            (("2024-11-20", "1980.00"), ("2025-06-30", "2210.50"), ("2026-02-14", "1450.00")),
        ),
        _command(
            topics,
            GOLD,
            "RegisterCustomer",
            "2025-09-15",
            name="Linh Nguyen",
            email="linh.nguyen@example.com",
            address=_address("12 Rue Mercière", "69002", "Lyon", "FR"),
        ),
        *_orders(
            topics, GOLD, (("2025-09-20", "740.00"), ("2025-12-19", "1105.60"), ("2026-04-02", "389.90"))
        ),
        _command(
            topics,
            SILVER,
            "RegisterCustomer",
            "2026-01-12",
            name="Paula Marino",
            email="paula.marino@example.com",
        ),
        *_orders(topics, SILVER, (("2026-01-15", "149.00"), ("2026-03-28", "98.50"))),
        _command(
            topics,
            STANDARD,
            "RegisterCustomer",
            "2026-02-20",
            name="نور الهاشمي",
            email="noor.alhashimi@example.com",
            phone="+971 4 555 0199",
            address=_address("شارع الشيخ زايد 45", "00000", "دبي", "AE"),
            preferences={"language": "ar-AE", "currency": "AED"},
        ),
        *_orders(topics, STANDARD, (("2026-03-01", "219.99"),)),
        _command(
            topics,
            IN_DEBT,
            "RegisterCustomer",
            "2026-02-01",
            name="Nils Eriksen",
            email="nils.eriksen@example.com",
        ),
        *_orders(topics, IN_DEBT, (("2026-02-03", "420.00"),)),
    )


def _redemptions(topics: Catalogue) -> Chapter:
    """Points are spent and put right, and a level is given."""
    return (
        _redeem(topics, VIP, 200, "Paid with order 10071", "demo-redemption-1", "2026-06-20", "order-10071"),
        _redeem(topics, VIP, 150, "Voucher of 15 EUR", "demo-redemption-2", "2026-06-21"),
        _redeem(topics, IN_DEBT, 40, "Voucher of 4 USD", "demo-redemption-3", "2026-02-10"),
        _adjust(topics, GOLD, -20, "The order of April was counted for the wrong account", "2026-04-09"),
        _adjust(topics, STANDARD, 50, "Apology for a late parcel", "2026-03-15"),
        _command(
            topics,
            SILVER,
            "UpgradeMembership",
            "2026-04-01",
            newLevel="SILVER",
            reason="Moved here from the shop in Milan",
        ),
        _command(
            topics,
            PLATINUM,
            "UpdatePreferences",
            "2026-02-15",
            marketingEmails=False,
            notifications={"enabledTypes": ["ORDER", "DELIVERY", "POINTS"]},
        ),
    )


def _second_thoughts(topics: Catalogue) -> Chapter:
    """An order fails, goods come back, and some inputs cannot be processed."""
    return (
        *_dead_letters(topics),
        _command(
            topics,
            VIP,
            "CancelRedemption",
            "2026-06-22",
            redemptionId="demo-redemption-1",
            reason="Order 10071 failed: out of stock",
        ),
        _returned(topics, VIP, "2025-12-11", "375.25", "2026-01-04"),
        _returned(topics, IN_DEBT, "2026-02-03", "420.00", "2026-02-17"),
        _command(
            topics,
            IN_DEBT,
            "ChangeStatus",
            "2026-02-18",
            newStatus="SUSPENDED",
            reason="The refund is under review",
        ),
        _adjust(topics, VIP, 25, "Goodwill after the failed order", "2026-06-22"),
    )


def _dead_letters(topics: Catalogue) -> Chapter:
    """One of several kinds each: a conflict, two broken orders, one that is no JSON, and a payment of nobody."""
    again = messages.order_completed(
        "demo-conflict", _order_id(GOLD, "2026-04-02"), GOLD, "38.99", "2026-04-02T12:00:00Z"
    )
    comma = messages.order_completed(
        "demo-comma", "demo-order-comma", SILVER, "49,90", "2026-05-02T12:00:00Z"
    )
    digits = messages.order_completed(
        "demo-digits", "demo-order-digits", VIP, "12.345", "2026-05-03T12:00:00Z"
    )
    broken = Message(PLATINUM.encode(), b'{"eventId":"demo-broken","orderId":"demo-order-bro')
    nobody = Message(
        b"demo-order-of-nobody",
        comma.value.replace(b"demo-comma", b"demo-nobody").replace(b"customerId", b"customer"),
    )
    orders = [Step(topics.orders, message, None) for message in (again, comma, digits, broken)]
    return (*orders, Step(topics.payments, nobody, None))


def _orders(topics: Catalogue, customer: str, bought: Sequence[tuple[str, str]]) -> Chapter:
    """(day, dollars) of each order, with its payment."""
    steps = []
    for day, amount in bought:
        order, event, noon = _order_id(customer, day), f"demo-event-{customer}-{day}", f"{day}T12:00:00Z"
        paid = messages.payment_completed(
            f"demo-paid-{customer}-{day}",
            f"demo-payment-{customer}-{day}",
            order,
            customer,
            amount,
            f"{day}T12:01:00Z",
        )
        counted = messages.order_completed(event, order, customer, amount, noon)
        steps += [Step(topics.payments, paid, None), Step(topics.orders, counted, event)]
    return tuple(steps)


def _order_id(customer: str, day: str) -> str:
    return f"demo-order-{customer}-{day}"


def _returned(topics: Catalogue, customer: str, ordered: str, amount: str, day: str) -> Step:
    """A return of some of the order of a day."""
    event = f"demo-return-event-{customer}-{ordered}"
    order, return_id = _order_id(customer, ordered), f"demo-return-{customer}-{ordered}"
    message = messages.order_returned(event, return_id, order, customer, amount, f"{day}T12:00:00Z")
    return Step(topics.returns, message, event)


def _redeem(
    topics: Catalogue,
    customer: str,
    points: int,
    reason: str,
    redemption: str,
    day: str,
    order: str | None = None,
) -> Step:
    data: dict[str, Any] = {"points": points, "reason": reason, "redemptionId": redemption}
    return _command(
        topics, customer, "RedeemPoints", day, **data, **({} if order is None else {"orderId": order})
    )


def _adjust(topics: Catalogue, customer: str, points: int, reason: str, day: str) -> Step:
    adjustment = f"demo-adjustment-{customer}"
    return _command(
        topics, customer, "AdjustPoints", day, points=points, reason=reason, adjustmentId=adjustment
    )


def _command(topics: Catalogue, customer: str, command_type: str, day: str, **data: Any) -> Step:
    """A command of one customer's story; a customer gets each type at most once a day."""
    command_id = f"demo-{customer}-{command_type}-{day}"
    message = messages.command(
        command_id, command_type, customer, f"{day}T09:30:00Z", data, actor="ann.support"
    )
    return Step(topics.commands, message, command_id)


def _address(street: str, zip_code: str, city: str, country: str) -> Mapping[str, str]:
    return {"street": street, "zipCode": zip_code, "city": city, "country": country}
