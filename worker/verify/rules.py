"""Points, levels and VIP, recomputed each time from the whole list of orders that counted (CONTRACT section 6)."""

import tomllib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from worker.verify.command_data import LEVELS
from worker.verify.text import CURRENCY_DIGITS, DAY_MS, day_number

YEAR_DAYS = 365

_DEFAULT = {
    "version": "1",
    "effective_from": date(1970, 1, 1),
    "currency": "USD",
    "amount_per_point": "10.00",
    "levels": {"SILVER": "500.00", "GOLD": "2000.00", "PLATINUM": "5000.00"},
    "vip": {"annual_spending": "10000.00", "days": 365},
}


class RuleSet(NamedTuple):
    """Amounts in minor units; levels: (threshold, level) rising; since: day number."""

    version: str
    since: int
    currency: str
    per_point: int
    levels: tuple[tuple[int, str], ...]
    vip_spending: int
    vip_days: int


class Order(NamedTuple):
    """An order that counted; at: occurredOn in ms since 1970 UTC."""

    at: int
    id: str
    amount: int
    currency: str

    @property
    def day(self) -> int:
        return self.at // DAY_MS


class Window(NamedTuple):
    """The earliest full window. filled_at: the occurredOn of the order that filled it."""

    rules: RuleSet
    first: int
    last: int
    spent: int
    filled_at: int


class Rules:
    """All rule sets; the one in force on a day is the latest that began by then."""

    def __init__(self, sets: Sequence[RuleSet]) -> None:
        self.sets = sorted(sets, key=lambda each: each.since)

    def on(self, day: int) -> RuleSet:
        """The set in force on that day; the earliest one for days before it."""
        return (
            [each for each in self.sets if each.since <= day][-1]
            if day >= self.sets[0].since
            else self.sets[0]
        )

    def points(self, order: Order) -> int:
        """What the order earns."""
        rules = self.on(order.day)
        return order.amount // rules.per_point if order.currency == rules.currency else 0


class History:
    """Every order of one customer that counted, and what was spent per currency and day; and what of it was returned.

    Gross, but for what says that it is net. returned: orderId -> minor units.
    """

    def __init__(self) -> None:
        self.orders: dict[str, Order] = {}
        self.returned: dict[str, int] = {}
        self.days: dict[str, dict[int, int]] = {}
        self.last_day: int | None = None

    def add(self, order: Order) -> None:
        """Count an order."""
        self.orders[order.id] = order
        spent = self.days.setdefault(order.currency, {})
        spent[order.day] = spent.get(order.day, 0) + order.amount
        self.last_day = order.day if self.last_day is None else max(order.day, self.last_day)

    def take_back(self, order: Order, amount: int) -> None:
        """Count a return."""
        self.returned[order.id] = self.returned.get(order.id, 0) + amount

    def left(self, order: Order) -> Order:
        """What has not been returned of it."""
        return order._replace(amount=order.amount - self.returned.get(order.id, 0))

    def returned_days(self, currency: str) -> dict[int, int]:
        """What was returned, by the day of its order."""
        days: dict[int, int] = {}
        for order_id, amount in self.returned.items():
            order = self.orders[order_id]
            if order.currency == currency:
                days[order.day] = days.get(order.day, 0) + amount
        return days

    def net_total(self, currency: str) -> int:
        """Lifetime spending as it is shown."""
        return self.total(currency) - sum(self.returned_days(currency).values())

    def net_annual(self, currency: str) -> int:
        """Annual spending as it is shown."""
        since = (self.last_day or 0) - YEAR_DAYS
        returned = sum(amount for day, amount in self.returned_days(currency).items() if day > since)
        return self.annual(currency) - returned

    def total(self, currency: str) -> int:
        """Lifetime spending."""
        return sum(self.days.get(currency, {}).values())

    def annual(self, currency: str) -> int:
        """Spending in the 365 days that end on the day of the latest order in any currency."""
        return (
            0
            if self.last_day is None
            else self.between(currency, self.last_day - YEAR_DAYS + 1, self.last_day)
        )

    def between(self, currency: str, first: int, last: int) -> int:
        """Spending on the days first to last, both included."""
        return sum(spent for day, spent in self.days.get(currency, {}).items() if first <= day <= last)

    def level(self, rules: Rules, since: int) -> tuple[str, RuleSet | None]:
        """The highest level that the orders reach one after the other by occurredOn, looking from the day `since` on.

        The second is the set that gave it first; None for STANDARD.
        """
        best: tuple[str, RuleSet | None] = ("STANDARD", None)
        spent = {currency: self.between(currency, -(10**9), since - 1) for currency in self.days}
        for day in sorted({day for days in self.days.values() for day in days if day >= since}):
            for currency, days in self.days.items():
                spent[currency] += days.get(day, 0)
            current = rules.on(day)
            if day not in self.days.get(current.currency, {}):
                continue  # an order in another currency lifts nobody
            reached = [level for least, level in current.levels if spent.get(current.currency, 0) >= least]
            if reached and LEVELS.index(reached[-1]) > LEVELS.index(best[0]):
                best = reached[-1], current
        return best

    def vip_window(self, rules: Rules) -> Window | None:
        """The earliest window that is full: it ends on the day of an order, judged by the rules of that day."""
        if not any(self.total(each.currency) >= each.vip_spending for each in rules.sets):
            return None
        for last in sorted({day for days in self.days.values() for day in days}):
            current = rules.on(last)
            first = last - current.vip_days + 1
            spent = self.between(current.currency, first, last)
            if spent >= current.vip_spending and last in self.days.get(current.currency, {}):
                return Window(current, first, last, spent, self._filled_at(current, first, last))
        return None

    def _filled_at(self, rules: RuleSet, first: int, last: int) -> int:
        running = self.between(rules.currency, first, last - 1)
        for order in sorted(
            o for o in self.orders.values() if o.currency == rules.currency and o.day == last
        ):
            running += order.amount
            if running >= rules.vip_spending:
                return order.at
        raise AssertionError("a full window is filled by an order of its last day")


def load_rules(path: Path | None) -> Rules:
    """The rules of the file, or the contract's. The file is one that a worker accepts."""
    if path is None:
        return Rules([_rule_set(_DEFAULT)])
    with path.open("rb") as file:
        return Rules([_rule_set(each) for each in tomllib.load(file)["rules"]])


def _rule_set(given: dict[str, Any]) -> RuleSet:
    currency = given["currency"]

    def minor(amount: str) -> int:
        return int(Decimal(amount).scaleb(CURRENCY_DIGITS[currency]))

    return RuleSet(
        given["version"],
        day_number(given["effective_from"]),
        currency,
        minor(given["amount_per_point"]),
        tuple((minor(given["levels"][level]), level) for level in LEVELS[1:]),
        minor(given["vip"]["annual_spending"]),
        given["vip"]["days"],
    )
