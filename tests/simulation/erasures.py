"""Checks erased customers and the messages sent to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tests.simulation.sent import Delivery, Sent
from worker.domain.state import Customer, CustomerRow, LedgerLine
from worker.domain.values import Preferences

if TYPE_CHECKING:
    from tests.simulation.check import Seen

ERASED = "CUSTOMER_ERASED"


def left_of(seen: Seen, sent: Sent) -> Iterable[str]:
    """Yield each sign that an erased customer still has personal data, or that an erasure is missing."""
    erased = seen.erased
    last = {event["subject"]: event["type"] for event in seen.events}
    for name, customer in seen.customers.items():
        if customer.erased != (name in erased):
            yield f"{name} is erased: {customer.erased} in the state, {name in erased} in the events"
        elif customer.erased and _is_known(customer, seen.rows[name]):
            yield f"{name} was erased, and is known all the same"
    for name in erased:
        if last[name] != "CustomerErasedEvent":
            yield f"{name} was erased, and then came a {last[name]}"
    for (name, command_id), remembered in seen.remembered.items():
        if name in erased and remembered.fingerprint:
            yield f"{name} was erased, and what {command_id} said can be guessed all the same"


def refused(
    got: Mapping[tuple[str, str], int], conflict: str, line: LedgerLine | None, deliveries: Sequence[Delivery]
) -> Counter[tuple[str, str]]:
    """The dead letters that the deliveries of one order or payment of an erased customer must have.

    The time of the erasure among them is unknown. So refusals are accepted as found, except that the delivery that
    counted cannot be refused. line: the ledger line of the delivery that counted; None when none did.
    """
    wanted: Counter[tuple[str, str]] = Counter()
    taken = 0
    for each, count in Counter(deliveries).items():
        late = count if line is None else min(count, got[ERASED, each.digest])
        wanted[ERASED, each.digest] += late
        if line is not None and (line.amount, line.currency) != each[:2]:
            wanted[conflict, each.digest] += count - late
        else:
            taken += count - late
    if line is not None and not taken:
        wanted["the one that counted was refused", deliveries[0].digest] += 1
    return wanted


def _is_known(customer: Customer, row: CustomerRow) -> bool:
    said = (customer.name, customer.email, customer.phone, customer.birth_date, row.email_claim)
    listed = customer.addresses or customer.payment_methods
    return any(said) or bool(listed) or customer.preferences != Preferences()
