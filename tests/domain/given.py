"""The words of the domain's tests: a story of one customer, told message by message."""

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
    OrderCompleted,
    OrderReturned,
    PaymentCompleted,
    RegisterCustomer,
)
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import ORDER, Customer, LedgerLine
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

    def line(self, kind: str, line_id: str) -> LedgerLine | None:
        return self.lines.get((kind, line_id))

    def orders(self) -> list[tuple[str, LedgerLine]]:
        return [(line_id, line) for (kind, line_id), line in self.lines.items() if kind == ORDER]


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
            for kind, line_id, line in ledger_lines(events, self.customer.sequence):
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
