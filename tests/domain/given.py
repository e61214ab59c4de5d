"""The words of the domain's tests: a story of one customer, told message by message."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import msgspec

from worker.domain.decide import decide, decide_order, decide_payment, decide_return
from worker.domain.events import Event
from worker.domain.evolve import apply
from worker.domain.ledger import ledger_lines
from worker.domain.messages import (
    AnyCommand,
    Command,
    OrderCompleted,
    OrderReturned,
    PaymentCompleted,
    RegisterCustomer,
)
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.spending import OldDays, take_old_days
from worker.domain.state import COMMAND, ORDER, Customer, LedgerLine, PastOrder
from worker.domain.values import Address

Message = AnyCommand | OrderCompleted | PaymentCompleted | OrderReturned
RULES = RuleBook((DEFAULT_RULES,))
HOME = Address("Main Street 1", "Springfield", "12345", "US")
NOON = 12 * 3_600_000
DAY_MS = 86_400_000


def at(day: str, ms: int = NOON) -> int:
    """ms since 1970 UTC of that many ms after midnight of a day written YYYY-MM-DD."""
    return day_number(day) * DAY_MS + ms


def day_number(day: str) -> int:
    return (date.fromisoformat(day) - date(1970, 1, 1)).days


def street(number: int) -> Address:
    return Address(f"Side Street {number}", "Springfield", "12345", "US")


def order(
    order_id: str, amount: int, occurred_at: int = at("2026-01-15"), currency: str = "USD"
) -> OrderCompleted:
    return OrderCompleted(f"event-of-{order_id}", order_id, "c1", amount, currency, occurred_at)


def payment(
    payment_id: str, amount: int, occurred_at: int = at("2026-01-15"), currency: str = "USD"
) -> PaymentCompleted:
    return PaymentCompleted(f"event-of-{payment_id}", payment_id, "o1", "c1", amount, currency, occurred_at)


def returned(
    return_id: str,
    order_id: str,
    amount: int,
    occurred_at: int = at("2026-02-15"),
    currency: str = "USD",
) -> OrderReturned:
    return OrderReturned(f"event-of-{return_id}", return_id, order_id, "c1", amount, currency, occurred_at)


def a(command: type[Any], command_id: str = "k1", **fields: Any) -> Any:
    """A command of customer c1, issued on 2026-01-15 unless it says otherwise."""
    return command(**{"command_id": command_id, "customer_id": "c1", "issued_at": at("2026-01-15"), **fields})


@dataclass
class Lines:
    """A ledger in memory."""

    lines: dict[tuple[str, str], LedgerLine] = field(default_factory=dict)
    old: dict[tuple[str, str], dict[int, int]] = field(default_factory=dict)

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        return self.lines.get((kind, line_id))

    def orders_before(self, end: int, first: int) -> Iterator[PastOrder]:
        past = [
            PastOrder(line.occurred_at, line.amount, line.currency)
            for (kind, _), line in self.lines.items()
            if kind == ORDER and first <= line.occurred_at < end
        ]
        return iter(sorted(past, reverse=True))

    def old_days(self, kind: str, currency: str, first: int, last: int) -> dict[int, int]:
        return {
            day: amount for day, amount in self.old.get((kind, currency), {}).items() if first <= day <= last
        }

    def add_old(self, days: list[OldDays]) -> None:
        for kind, currency, amounts in days:
            kept = self.old.setdefault((kind, currency), {})
            for day, amount in amounts.items():
                kept[day] = kept.get(day, 0) + amount


@dataclass
class Story:
    """One customer and their ledger."""

    customer: Customer | None = None
    ledger: Lines = field(default_factory=Lines)
    rules: RuleBook = RULES

    def decides(self, message: Message) -> tuple[Event, ...]:
        """The events, without applying them; none for a return whose order has not counted."""
        if isinstance(message, OrderCompleted):
            return decide_order(self.now, message, self.rules, self.ledger)
        if isinstance(message, PaymentCompleted):
            return decide_payment(self.now, message, self.ledger)
        if isinstance(message, OrderReturned):
            return decide_return(self.now, message, self.rules, self.ledger) or ()
        return decide(self.customer, message, self.rules, self.ledger)

    def when(self, message: Message) -> tuple[Event, ...]:
        """The events, applied."""
        events = self.decides(message)
        if events:
            self.customer = apply(self.customer, events, at("2026-06-01"))
            self.ledger.add_old(take_old_days(self.customer, events))
            command = message if isinstance(message, Command) else None
            for kind, line_id, line in ledger_lines(events, self.customer, command):
                rewritten = self.ledger.lines.get((kind, line_id))
                assert rewritten is None or rewritten == msgspec.structs.replace(
                    line, returned=rewritten.returned
                )
                self.ledger.lines[(kind, line_id)] = line
        return events

    @property
    def now(self) -> Customer:
        assert self.customer is not None
        return self.customer

    @property
    def lines(self) -> dict[tuple[str, str], LedgerLine]:
        """The lines of orders, payments, returns and points, without what they did to the customer."""
        return {
            key: msgspec.structs.replace(line, change=None)
            for key, line in self.ledger.lines.items()
            if key[0] != COMMAND
        }

    @property
    def encoded(self) -> bytes:
        return msgspec.json.encode((self.customer, list(self.ledger.lines.items())))


def registered(rules: RuleBook = RULES, **fields: Any) -> Story:
    """A story that starts with a registration."""
    story = Story(rules=rules)
    story.when(a(RegisterCustomer, "k0", **{"name": "Ann", "email": "ann@example.com", **fields}))
    return story


def after(*messages: Message, rules: RuleBook = RULES) -> Story:
    """A registered customer to whom all this happened."""
    story = registered(rules)
    for message in messages:
        story.when(message)
    return story
