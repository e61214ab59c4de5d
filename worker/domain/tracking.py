"""Migration of a customer that an earlier version wrote: the newer fields and rows are computed from the ledger.

An earlier version may run beside this one during an upgrade. A row that it writes is untracked and is migrated again.
The work grows with the orders that are older than the days in the row, and is done once.
"""

from worker.domain.decide.vip import filled_ever
from worker.domain.rules import RuleBook
from worker.domain.spending import DAY_MS, EVER, OldDays, recent_from
from worker.domain.state import CONVERTED, SPENT, Customer, Ledger


def old_days(customer: Customer, rules: RuleBook, ledger: Ledger) -> list[OldDays]:
    """All days that the customer's row no longer keeps."""
    found: dict[tuple[str, str], dict[int, int]] = {}

    def add(kind: str, currency: str, day: int, amount: int) -> None:
        days = found.setdefault((kind, currency), {})
        days[day] = days.get(day, 0) + amount

    for order in ledger.orders_before(recent_from(customer) * DAY_MS, EVER * DAY_MS):
        day = order.occurred_at // DAY_MS
        add(SPENT, order.currency, day, order.amount)
        rule_set = rules.on(day)
        counted = rule_set.counted(order.amount, order.currency)
        if counted is not None and order.currency != rule_set.currency:
            add(CONVERTED, rule_set.currency, day, counted)
    return [OldDays(kind, currency, days) for (kind, currency), days in found.items()]


def track(customer: Customer, rules: RuleBook, ledger: Ledger) -> None:
    """Compute Customer.filled and mark the customer as tracked. The ledger must hold the old days already."""
    customer.filled = filled_ever(customer, rules, ledger)
    customer.tracked = True
