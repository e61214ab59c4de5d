"""Checks returns. Which of them conflict depends on an unknown order, so only certain conflicts are required."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from tests.simulation.erasures import ERASED
from tests.simulation.sent import ORDER, RETURN, Delivery, Sent, digest

if TYPE_CHECKING:
    from tests.simulation.check import Seen

CONFLICT = "RETURN_CONFLICT"


def lost(seen: Seen, sent: Sent) -> Iterable[str]:
    """Yield returns that neither counted nor wait nor are dead letters, and returns that should not wait."""
    dead = {digest(value) for reason, value in seen.dead_letters if reason in (CONFLICT, ERASED)}
    for (kind, customer, return_id), deliveries in sent.purchases.items():
        if kind != RETURN:
            continue
        waits = (customer, RETURN, return_id) in seen.waiting
        counted = (RETURN, return_id) in seen.ledger[customer]
        if waits and counted:
            yield f"return {return_id} of {customer} counted, and waits all the same"
        if waits and customer in seen.erased:
            yield f"return {return_id} waits for an order of {customer}, who was erased"
        if waits and all((ORDER, each.order_id) in seen.ledger[customer] for each in deliveries):
            yield f"return {return_id} of {customer} waits for an order that has counted"
        if not waits and not counted and not dead & {each.digest for each in deliveries}:
            yield f"lost: return {return_id} of {customer}"


def wrong(seen: Seen, sent: Sent) -> Iterable[str]:
    """Yield orders whose returns do not add up."""
    for customer, lines in seen.ledger.items():
        returned: Counter[str] = Counter()
        points: Counter[str] = Counter()
        for (kind, return_id), line in lines.items():
            if kind == RETURN and line.order_id is not None:
                returned[line.order_id] += line.amount
                points[line.order_id] += line.points
                order = lines.get((ORDER, line.order_id))
                if order is None or order.currency != line.currency:
                    yield f"return {return_id} of {customer} has no order in its currency"
        for (kind, order_id), line in lines.items():
            if kind == ORDER and not line.returned == returned[order_id] <= line.amount:
                yield f"{returned[order_id]} of {order_id} of {customer} were returned, not {line.returned}"
            if kind == ORDER and points[order_id] > line.points:
                yield f"{order_id} of {customer} lost more points than it earned"


def refused(
    seen: Seen,
    got: Mapping[tuple[str, str], int],
    customer: str,
    return_id: str,
    deliveries: Sequence[Delivery],
) -> Counter[tuple[str, str]]:
    """The dead letters that the deliveries of one return must have. Possible ones are accepted as found.

    While a delivery waits, further ones with its amount have no effect, even when the first one conflicts later. Whether
    it waited is unknown.
    """
    wanted: Counter[tuple[str, str]] = Counter()
    line = seen.ledger[customer].get((RETURN, return_id))
    for each, count in Counter(deliveries).items():
        late = min(count, got[ERASED, each.digest]) if customer in seen.erased else 0
        wanted[ERASED, each.digest] += late
        alone = sum(other[:2] == each[:2] for other in deliveries) == 1
        if alone and line is not None and (line.amount, line.currency) != each[:2]:
            wanted[CONFLICT, each.digest] += count - late
        elif _may_conflict(seen, customer, each, deliveries):
            wanted[CONFLICT, each.digest] += min(count - late, got[CONFLICT, each.digest])
    return wanted


def _may_conflict(seen: Seen, customer: str, each: Delivery, deliveries: Sequence[Delivery]) -> bool:
    """Whether a conflict is possible.

    A different delivery with the same returnId may have come first. Or the order has another currency, or too little of
    it is left in the end.
    """
    if any((other[:2], other.order_id) != (each[:2], each.order_id) for other in deliveries):
        return True
    order = seen.ledger[customer].get((ORDER, each.order_id))
    return order is not None and (
        order.currency != each.currency or each.amount > order.amount - order.returned
    )
