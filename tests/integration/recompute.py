"""What the contract says must come out of some orders: slow, plain, and without a line of the worker."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import NamedTuple

LEVELS = (("PLATINUM", 500_000), ("GOLD", 200_000), ("SILVER", 50_000))
CENTS_PER_POINT = 1_000
VIP_CENTS = 1_000_000
VIP_DAYS = 365


class Order(NamedTuple):
    """cents: of the rules' currency. day: UTC."""

    order_id: str
    cents: int
    day: date


class Figures(NamedTuple):
    """What a customer's orders come to. earned: points, before any were redeemed."""

    spent_cents: int
    orders: int
    earned: int
    level: str
    vip: bool


def figures(orders: Iterable[Order]) -> Figures:
    """Of one customer; an order that is given twice counts once."""
    once = {order.order_id: order for order in orders}.values()
    spent = sum(order.cents for order in once)
    level = next((name for name, threshold in LEVELS if spent >= threshold), "STANDARD")
    earned = sum(order.cents // CENTS_PER_POINT for order in once)
    return Figures(spent, len(once), earned, level, level == "PLATINUM" and _has_full_window(list(once)))


def _has_full_window(orders: list[Order]) -> bool:
    return any(
        sum(order.cents for order in orders if first <= order.day < first + timedelta(VIP_DAYS)) >= VIP_CENTS
        for first in {order.day for order in orders}
    )
