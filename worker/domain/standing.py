"""Where a customer stands: what is missing to the next level and to VIP, and the window of days that counts for VIP.

Amounts are those that the rules count: gross, in the rules' currency. The work grows with the days on which the customer
spent anything, and not with the orders.
"""

import msgspec

from worker.domain.rules import RuleBook, RuleSet
from worker.domain.spending import DAY_MS, EVER, DayTotals, by_day, recent_from, total_spending
from worker.domain.state import Customer, Ledger
from worker.domain.values import RANK, MembershipLevel


class NextLevel(msgspec.Struct, frozen=True, gc=False):
    """The next level. spent: lifetime spending; needed: for the level. Both are minor units of the rules' currency."""

    level: MembershipLevel
    spent: int
    needed: int
    rules: RuleSet

    @property
    def missing(self) -> int:
        """What is missing. 0 if newer rules ask for less than was spent: then the next order reaches the level."""
        return max(0, self.needed - self.spent)


class VipWindow(msgspec.Struct, frozen=True, gc=False):
    """A window of days, both included. spent: minor units of the currency of `rules`, those of its last day."""

    start: int
    end: int
    spent: int
    rules: RuleSet

    @property
    def missing(self) -> int:
        """What is missing to a full window; 0 if it is full."""
        return max(0, self.rules.vip_spending - self.spent)


def next_level(customer: Customer, today: int, rules: RuleBook) -> NextLevel | None:
    """The level after the customer's, by the rules of today; None after the highest. today: days since 1970 UTC."""
    by = rules.on(today)
    higher = [each for each in by.levels if RANK[each[1]] > RANK[customer.level]]
    if not higher:
        return None
    needed, level = higher[0]
    return NextLevel(level, total_spending(customer, by.currency), needed, by)


def vip_window(customer: Customer, rules: RuleBook, ledger: Ledger) -> VipWindow | None:
    """The window that made the customer VIP, or else the best one so far: the one to which least is missing.

    Of windows to which the same is missing, it is the latest. None without an order that counts.
    """
    if customer.vip_since is None:
        return _best(customer, rules, ledger)
    end = customer.vip_since // DAY_MS
    by = rules.on(end)
    start = end - by.vip_days + 1
    spent = by_day(customer, None, start, end, rules, ledger).get(by.currency, {})
    return VipWindow(start, end, sum(spent.values()), by)


def _best(customer: Customer, rules: RuleBook, ledger: Ledger) -> VipWindow | None:
    if customer.last_order_at is None:
        return None
    last = customer.last_order_at // DAY_MS
    days = by_day(customer, None, _first_day(customer, last), last, rules, ledger)
    totals = {currency: DayTotals(spent) for currency, spent in days.items()}
    best: VipWindow | None = None
    for end in sorted({day for spent in days.values() for day in spent}):
        by = rules.on(end)
        if end in days.get(by.currency, ()):
            start = end - by.vip_days + 1
            window = VipWindow(start, end, totals[by.currency].between(start, end), by)
            if best is None or window.missing <= best.missing:
                best = window
    return best


def _first_day(customer: Customer, last: int) -> int:
    """The first day with spending that matters: rows of older days are read only if there are any."""
    recent = recent_from(customer)
    spent = (*customer.spending.values(), *customer.converted.values())
    return recent if all(each.days.between(recent, last) == each.total for each in spent) else EVER
