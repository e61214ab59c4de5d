"""Points, levels and VIP, recomputed each time from the whole list of orders that counted (CONTRACT section 6)."""

import tomllib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
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
    """Amounts in minor units; levels: (threshold, level) rising; since: day number.

    rates: as in the file, units of the rules' currency for one unit of the other.
    """

    version: str
    since: int
    currency: str
    per_point: int
    levels: tuple[tuple[int, str], ...]
    vip_spending: int
    vip_days: int
    rates: dict[str, Fraction]


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


Days = dict[str, dict[int, int]]
"""Minor units by currency and day number."""


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

    def converted(self, order: Order) -> tuple[str, int] | None:
        """What the rules of its day make of an order in another currency: (their currency, minor units rounded down)."""
        rules = self.on(order.day)
        if order.currency not in rules.rates:
            return None
        units = Fraction(order.amount, 10 ** CURRENCY_DIGITS[order.currency]) * rules.rates[order.currency]
        return rules.currency, floor(units * 10 ** CURRENCY_DIGITS[rules.currency])

    def eligible(self, order: Order) -> int:
        """What of the order earns points, in minor units of its day's rules' currency."""
        converted = self.converted(order)
        if converted is not None:
            return converted[1]
        return order.amount if order.currency == self.on(order.day).currency else 0

    def points(self, order: Order) -> int:
        """What the order earns."""
        return self.eligible(order) // self.on(order.day).per_point


class History:
    """Every order of one customer that counted, what it comes to per currency and day, and what of it was returned.

    Gross, but for what says that it is net. returned: orderId -> minor units.

    days: in the orders' own currencies. converted: what rates made of them. counting: both, which is what levels and
    VIP look at.
    """

    def __init__(self, rules: Rules) -> None:
        self.orders: dict[str, Order] = {}
        self.returned: dict[str, int] = {}
        self.days: Days = {}
        self.converted: Days = {}
        self.counting: Days = {}
        self.last_day: int | None = None
        self._rules = rules

    def add(self, order: Order) -> None:
        """Count an order."""
        self.orders[order.id] = order
        own = order.currency, order.amount
        converted = self._rules.converted(order)
        for days, amounts in (
            (self.days, [own]),
            (self.converted, [converted]),
            (self.counting, [own, converted]),
        ):
            for currency, amount in filter(None, amounts):
                _add(days, currency, order.day, amount)
        self.last_day = order.day if self.last_day is None else max(order.day, self.last_day)

    def take_back(self, order: Order, amount: int) -> None:
        """Count a return."""
        self.returned[order.id] = self.returned.get(order.id, 0) + amount

    def left(self, order: Order) -> Order:
        """What has not been returned of it."""
        return order._replace(amount=order.amount - self.returned.get(order.id, 0))

    def returned_days(self) -> Days:
        """What was returned, by the day of its order."""
        days: Days = {}
        for order_id, amount in self.returned.items():
            order = self.orders[order_id]
            _add(days, order.currency, order.day, amount)
        return days

    def returned_converted(self) -> Days:
        """By how much less the orders of which something was returned are converted."""
        days: Days = {}
        for order_id in self.returned:
            order = self.orders[order_id]
            whole, left = self._rules.converted(order), self._rules.converted(self.left(order))
            if whole is not None and left is not None:
                _add(days, whole[0], order.day, whole[1] - left[1])
        return days

    def net_total(self, currency: str) -> int:
        """Lifetime spending in orders of that currency, as it is shown."""
        return self.total(currency) - sum(self.returned_days().get(currency, {}).values())

    def net_annual(self, currency: str) -> int:
        """Annual spending in orders of that currency, as it is shown."""
        return self.annual(currency) - self.year(self.returned_days(), currency)

    def total(self, currency: str) -> int:
        """Lifetime spending in orders of that currency."""
        return sum(self.days.get(currency, {}).values())

    def annual(self, currency: str) -> int:
        """Spending in orders of that currency in the 365 days that end on the day of the latest order of all."""
        return self.year(self.days, currency)

    def year(self, days: Days, currency: str) -> int:
        """What these days hold for the 365 that end on the day of the latest order in any currency."""
        last = self.last_day
        return 0 if last is None else between(days, currency, last - YEAR_DAYS + 1, last)

    def counted(self, currency: str) -> int:
        """Lifetime spending that counts in that currency."""
        return sum(self.counting.get(currency, {}).values())

    def level(self, since: int) -> tuple[str, RuleSet | None]:
        """The highest level that the orders reach one after the other by occurredOn, looking from the day `since` on.

        The second is the set that gave it first; None for STANDARD.
        """
        best: tuple[str, RuleSet | None] = ("STANDARD", None)
        counting = self.counting
        spent = {currency: between(counting, currency, -(10**9), since - 1) for currency in counting}
        for day in sorted({day for days in counting.values() for day in days if day >= since}):
            for currency, days in counting.items():
                spent[currency] += days.get(day, 0)
            current = self._rules.on(day)
            if day not in counting.get(current.currency, {}):
                continue  # an order that does not count lifts nobody
            reached = [level for least, level in current.levels if spent.get(current.currency, 0) >= least]
            if reached and LEVELS.index(reached[-1]) > LEVELS.index(best[0]):
                best = reached[-1], current
        return best

    def vip_window(self) -> Window | None:
        """The earliest window that is full: it ends on the day of an order that counts, judged by that day's rules."""
        if not any(self.counted(each.currency) >= each.vip_spending for each in self._rules.sets):
            return None
        for last in sorted({day for days in self.counting.values() for day in days}):
            current = self._rules.on(last)
            first = last - current.vip_days + 1
            spent = between(self.counting, current.currency, first, last)
            if spent >= current.vip_spending and last in self.counting.get(current.currency, {}):
                return Window(current, first, last, spent, self._filled_at(current, first, last))
        return None

    def _filled_at(self, rules: RuleSet, first: int, last: int) -> int:
        running = between(self.counting, rules.currency, first, last - 1)
        for order in sorted(order for order in self.orders.values() if order.day == last):
            if order.currency == rules.currency or order.currency in rules.rates:
                running += self._rules.eligible(order)
                if running >= rules.vip_spending:
                    return order.at
        raise AssertionError("a full window is filled by an order of its last day")


def between(days: Days, currency: str, first: int, last: int) -> int:
    """What these days hold from first to last, both included."""
    return sum(spent for day, spent in days.get(currency, {}).items() if first <= day <= last)


def _add(days: Days, currency: str, day: int, amount: int) -> None:
    of_currency = days.setdefault(currency, {})
    of_currency[day] = of_currency.get(day, 0) + amount


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
        {code: Fraction(rate) for code, rate in given.get("rates", {}).items()},
    )
