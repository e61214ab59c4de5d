"""What the rules count of the customers of one partition, from the changelogs of `customers` and `ledger`.

Rules:
- All rows of `customers` come before the first line of `ledger`.
- A line of a later version than its customer's row is left out. So each customer is seen as of one moment, although the
  two changelogs were read one after the other. Lines of an earlier release do not know their version, and all count.
- A changelog may still hold older values of a key. Of rows the latest one counts.
- Of a line the first value is enough. Only the line of an order is ever written again, and only its `returned` changes.
  The lines of returns say that too.
- Memory holds the orders of one partition's customers. An order is a small tuple, and no row is kept.
"""

import sys
from collections.abc import Iterator

import msgspec

from tables import customers, ledger
from tables.customers import Standing
from worker.domain.state import (
    ADJUSTMENT,
    CANCELLATION,
    COMMAND,
    ORDER,
    REDEMPTION,
    RETURN,
    LedgerLine,
    PastOrder,
)
from worker.domain.values import RANK, MembershipLevel


class UnreadableRow(ValueError):
    """A row cannot be read; the text holds no key and no value."""


class History(msgspec.Struct):
    """One customer.

    Attributes:
        held: what the customer has.
        orders: by orderId.
        returned: the returned amounts, added up by orderId, in minor units of the order's currency.
        moved: what redemptions, their cancellations and adjustments add to the points together.
        by_hand: the highest level that somebody gave by hand; STANDARD if nobody did.
        told: how many versions of the customer have a line that knows its version.
    """

    held: Standing
    orders: dict[str, PastOrder] = msgspec.field(default_factory=dict)
    returned: dict[str, int] = msgspec.field(default_factory=dict)
    moved: int = 0
    by_hand: MembershipLevel = MembershipLevel.STANDARD
    told: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether each version has its line. Otherwise an earlier release may have given a level by hand."""
        return self.told >= self.held.version


class Histories:
    """The customers of one partition."""

    def __init__(self) -> None:
        self._customers: dict[str, History | None] = {}  # None: erased

    @property
    def erased(self) -> int:
        """How many customers were erased."""
        return sum(history is None for history in self._customers.values())

    def items(self) -> Iterator[tuple[str, History]]:
        """Each registered customer that was not erased, by customerId."""
        for customer_id, history in sorted(self._customers.items()):
            if history is not None:
                yield customer_id, history

    def row(self, key: bytes, value: bytes | None) -> None:
        """Take a row of `customers`; None deletes it. Raises UnreadableRow."""
        try:
            customer_id = key.decode()
            held = None if value is None else customers.standing(value)
        except ValueError as error:
            raise UnreadableRow(type(error).__name__) from None
        if held is None:
            self._customers.pop(customer_id, None)
        else:
            self._customers[customer_id] = None if held.erased else History(held)

    def line(self, key: bytes, value: bytes | None) -> None:
        """Take a line of `ledger`. Raises UnreadableRow."""
        try:
            customer_id, kind, line_id = ledger.parts(key)
            history = self._customers.get(customer_id)
            if history is None or (kind == ORDER and line_id in history.orders):
                return
            line = ledger.decode(value or b"")  # lines are never deleted
        except ValueError as error:
            raise UnreadableRow(type(error).__name__) from None
        change = line.change
        if change is not None:
            if change.version > history.held.version:
                return
            history.told += 1
        _count(history, kind, line_id, line)


def _count(history: History, kind: str, line_id: str, line: LedgerLine) -> None:
    if kind == ORDER:
        history.orders[line_id] = PastOrder(line.occurred_at, line.amount, sys.intern(line.currency))
    elif kind == RETURN:
        order_id = line.order_id or ""
        history.returned[order_id] = history.returned.get(order_id, 0) + line.amount
    elif kind == REDEMPTION:
        history.moved -= line.points
    elif kind in (CANCELLATION, ADJUSTMENT):
        history.moved += line.points
    elif kind == COMMAND:
        _by_hand(history, line)


def _by_hand(history: History, line: LedgerLine) -> None:
    upgrade = line.details.upgrade
    if upgrade is not None:
        history.by_hand = max(history.by_hand, upgrade.new, key=RANK.__getitem__)
