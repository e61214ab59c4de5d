"""Points, levels and VIP, recomputed each time from all orders that counted (contract, section 6)."""

import tomllib
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from fractions import Fraction
from math import floor
from pathlib import Path
from typing import Any, NamedTuple

from worker.verify.reading.command_data import LEVELS
from worker.verify.reading.text import CURRENCY_DIGITS, DAY_MS, day_number

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
    """The rules in force from one day on. Amounts are in minor units of `currency`.

    Attributes:
        version: the version's name in published events.
        since: the first day in force, in days since 1970.
        currency: ISO 4217.
        per_point: the amount that earns one point.
        levels: (threshold, level), in rising order.
        vip_spending: the spending within one window that makes a VIP.
        vip_days: the length of the window in days.
        rates: other currency -> units of the rules' currency for one unit of the other, as in the file.
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
    """An order that counted. at: occurredOn in ms since 1970 UTC; amount: minor units."""

    at: int
    id: str
    amount: int
    currency: str

    @property
    def day(self) -> int:
        """The UTC day of occurredOn, in days since 1970."""
        return self.at // DAY_MS


class Window(NamedTuple):
    """The earliest window of days in which the customer spent enough to become a VIP.

    Attributes:
        rules: the rules in force on the last day.
        first: first day, in days since 1970.
        last: last day, included.
        spent: spending in the window, in minor units of the rules' currency.
        filled_at: occurredOn of the order that reached the limit, in ms since 1970 UTC.
    """

    rules: RuleSet
    first: int
    last: int
    spent: int
    filled_at: int


Days = dict[str, dict[int, int]]
"""Currency -> day number -> minor units."""


class Rules:
    """All rule sets. On each day, the set with the latest start up to that day is in force."""

    def __init__(self, sets: Sequence[RuleSet]) -> None:
        self.sets = sorted(sets, key=lambda each: each.since)

    def on(self, day: int) -> RuleSet:
        """The set in force on a day. Days before the first set use the first set."""
        return (
            [each for each in self.sets if each.since <= day][-1]
            if day >= self.sets[0].since
            else self.sets[0]
        )

    def converted(self, order: Order) -> tuple[str, int] | None:
        """Convert an order by the rules of its day.

        Returns:
            (currency of the rules, minor units rounded down); None when the rules have no rate for the order's currency.
        """
        rules = self.on(order.day)
        if order.currency not in rules.rates:
            return None
        units = Fraction(order.amount, 10 ** CURRENCY_DIGITS[order.currency]) * rules.rates[order.currency]
        return rules.currency, floor(units * 10 ** CURRENCY_DIGITS[rules.currency])

    def eligible(self, order: Order) -> int:
        """The part of the order that earns points, in minor units of the currency of that day's rules."""
        converted = self.converted(order)
        if converted is not None:
            return converted[1]
        return order.amount if order.currency == self.on(order.day).currency else 0

    def points(self, order: Order) -> int:
        """The points that the order earns, rounded down."""
        return self.eligible(order) // self.on(order.day).per_point


class History:
    """The orders of one customer that counted, their returns, and spending by currency and day.

    Amounts are gross (without returns), except where a name says net.

    Attributes:
        orders: orderId -> order.
        returned: orderId -> returned minor units.
        days: spending in the orders' own currencies.
        converted: spending that a rate converted, in the currency of the rules.
        counting: the sum of both. Levels and VIP use it.
        last_day: day of the latest order in any currency; None without orders.
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
        """The order with only the amount that has not been returned."""
        return order._replace(amount=order.amount - self.returned.get(order.id, 0))

    def returned_days(self) -> Days:
        """Returned amounts by the day of the order, not of the return."""
        days: Days = {}
        for order_id, amount in self.returned.items():
            order = self.orders[order_id]
            _add(days, order.currency, order.day, amount)
        return days

    def returned_converted(self) -> Days:
        """By how much returns reduce the converted amounts, by the day of the order."""
        days: Days = {}
        for order_id in self.returned:
            order = self.orders[order_id]
            whole, left = self._rules.converted(order), self._rules.converted(self.left(order))
            if whole is not None and left is not None:
                _add(days, whole[0], order.day, whole[1] - left[1])
        return days

    def net_total(self, currency: str) -> int:
        """Lifetime spending in one currency, net of returns, as events publish it."""
        return self.total(currency) - sum(self.returned_days().get(currency, {}).values())

    def net_annual(self, currency: str) -> int:
        """Annual spending in one currency, net of returns, as events publish it."""
        return self.annual(currency) - self.year(self.returned_days(), currency)

    def total(self, currency: str) -> int:
        """Lifetime spending in orders of that currency."""
        return sum(self.days.get(currency, {}).values())

    def annual(self, currency: str) -> int:
        """Spending in orders of that currency in the 365 days up to the latest order in any currency."""
        return self.year(self.days, currency)

    def year(self, days: Days, currency: str) -> int:
        """The sum of the 365 days that end on the day of the latest order in any currency; 0 without orders."""
        last = self.last_day
        return 0 if last is None else between(days, currency, last - YEAR_DAYS + 1, last)

    def counted(self, currency: str) -> int:
        """Lifetime spending for levels and VIP: orders in that currency and converted orders."""
        return sum(self.counting.get(currency, {}).values())

    def level(self, since: int) -> tuple[str, RuleSet | None]:
        """The highest level that spending reaches on a day from `since` on. Each day uses its own rules.

        Args:
            since: a day number. Earlier orders add to the spending, but their days give no level.

        Returns:
            The level, and the rule set that gave it first; None for STANDARD.
        """
        best: tuple[str, RuleSet | None] = ("STANDARD", None)
        counting = self.counting
        spent = {currency: between(counting, currency, -(10**9), since - 1) for currency in counting}
        for day in sorted({day for days in counting.values() for day in days if day >= since}):
            for currency, days in counting.items():
                spent[currency] += days.get(day, 0)
            current = self._rules.on(day)
            if day not in counting.get(current.currency, {}):
                continue  # no order of this day counts in the currency of the rules, so no level is reached
            reached = [level for least, level in current.levels if spent.get(current.currency, 0) >= least]
            if reached and LEVELS.index(reached[-1]) > LEVELS.index(best[0]):
                best = reached[-1], current
        return best

    def vip_window(self) -> Window | None:
        """The earliest full VIP window. It ends on the day of an order that counts, and uses the rules of that day."""
        if not any(self.counted(each.currency) >= each.vip_spending for each in self._rules.sets):
            return None
        for last in sorted({day for days in self.counting.values() for day in days}):
            current = self._rules.on(last)
            first = last - current.vip_days + 1
            spent = between(self.counting, current.currency, first, last)
            if spent >= current.vip_spending and last in self.counting.get(current.currency, {}):
                return Window(current, first, last, spent, self._filled_at(current, first, last))
        return None

    def filled(self) -> list[int] | None:
        """The time when the earliest full window was filled, and the amount that counted in it before that time.

        Returns:
            [ms since 1970 UTC, minor units of the rules' currency]; None without a full window.
        """
        window = self.vip_window()
        if window is None:
            return None
        currency, before = window.rules.currency, 0
        for order in self.orders.values():
            if order.at < window.filled_at and order.day >= window.first:
                own = order.amount if order.currency == currency else 0
                converted = self._rules.converted(order)
                before += own or (converted[1] if converted and converted[0] == currency else 0)
        return [window.filled_at, before]

    def _filled_at(self, rules: RuleSet, first: int, last: int) -> int:
        running = between(self.counting, rules.currency, first, last - 1)
        for order in sorted(order for order in self.orders.values() if order.day == last):
            if order.currency == rules.currency or order.currency in rules.rates:
                running += self._rules.eligible(order)
                if running >= rules.vip_spending:
                    return order.at
        raise AssertionError("a full window is filled by an order of its last day")


def between(days: Days, currency: str, first: int, last: int) -> int:
    """Spending in one currency from the first to the last day, both included."""
    return sum(spent for day, spent in days.get(currency, {}).items() if first <= day <= last)


def _add(days: Days, currency: str, day: int, amount: int) -> None:
    of_currency = days.setdefault(currency, {})
    of_currency[day] = of_currency.get(day, 0) + amount


def load_rules(path: Path | None) -> Rules:
    """Read the rules file. None means the contract's default rules. The file must be valid; it is not checked here."""
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
