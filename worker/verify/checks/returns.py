"""After a replay: each return counted once, waits, or is a dead letter (contract, section 6, returns).

Whether a return fits depends on the state of its order at that moment, which the logs do not tell. So RETURN_CONFLICT is
trusted where it can be right. One fact is certain. A return that fits the amount left in the end also fitted earlier.
The exception is one that follows another return with the same returnId.
"""

from collections.abc import Iterator, Sequence

from worker.verify.checks.account import Account
from worker.verify.checks.traces import source_of
from worker.verify.reading.deliveries import Delivery, Expected
from worker.verify.reading.inputs import Purchase

_CONFLICT = frozenset(("RETURN_CONFLICT",))


def check(account: Account) -> Iterator[Expected]:
    """Report differences, and yield the dead letters that conflicting returns must or may have."""
    for return_id, deliveries in account.returns_by_id.items():
        first = account.winners.get(("T", return_id)) or _waiting(account, return_id, deliveries)
        for each in deliveries:
            if account.traces.may_count(each.position):
                yield from _one(account, each, first, deliveries)


def _waiting(
    account: Account, return_id: str, deliveries: Sequence[Delivery[Purchase]]
) -> Delivery[Purchase] | None:
    row = account.traces.waiting.get(("T", return_id))
    if row is None or source_of(row) in account.traces.expired:
        return None
    found = next((each for each in deliveries if each.position == source_of(row)), None)
    if found is None:
        account.causes_missing = True
        account.differs("waiting", f"return {return_id} is on no input topic")
    elif account.traces.still and _order_counted(account, found.fact):
        account.differs("waiting", f"return {return_id} still waits, although its order has counted")
    return found


def _one(
    account: Account,
    each: Delivery[Purchase],
    first: Delivery[Purchase] | None,
    deliveries: Sequence[Delivery[Purchase]],
) -> Iterator[Expected]:
    """Check one delivery of a return. first: the delivery of the same returnId that counted or waits."""
    conflicted = each.position in account.traces.conflicted
    others = any(_says(other.fact) != _says(each.fact) for other in deliveries)
    hidden = account.traces.may_be_hidden(each, deliveries)
    if first is not None:
        if first.fact.worth != each.fact.worth or (conflicted and others):
            yield Expected(each.source, _CONFLICT, each.due and not hidden)
        elif not account.traces.still:  # a return that waited in the snapshot may have conflicted since
            yield Expected(each.source, _CONFLICT, due=False)
    elif hidden:
        return
    elif others or not _fits(account, each.fact):
        yield Expected(each.source, _CONFLICT, each.due)
    elif each.due:
        account.differs("input", f"return {each.fact.id} at {each.position} neither counted nor waits")
    elif not account.traces.still:  # it may have counted or conflicted after the snapshot
        yield Expected(each.source, _CONFLICT, due=False)


def _fits(account: Account, back: Purchase) -> bool:
    """Whether no fact proves a conflict: the order has not counted, or enough of it is left in the end."""
    return not _order_counted(account, back) or (
        account.customer is not None and account.customer.can_take_back(back)
    )


def _order_counted(account: Account, back: Purchase) -> bool:
    return account.customer is not None and back.order_id in account.customer.history.orders


def _says(back: Purchase) -> tuple[str, int, str]:
    return back.order_id, back.amount, back.currency
