"""After a replay: each return counted once, or waits, or is a dead letter (CONTRACT section 6, returns).

Whether a return fits depends on what had become of its order, which the logs alone do not tell. So RETURN_CONFLICT is
taken at its word where it can be right, and held against what is certain: what fits what is left in the end had fitted
before, unless something else with the same returnId was there first.
"""

from collections.abc import Iterator, Sequence

from worker.verify.deliveries import Delivery, Expected
from worker.verify.inputs import Purchase
from worker.verify.replay import Replay
from worker.verify.traces import source_of

_CONFLICT = frozenset(("RETURN_CONFLICT",))


def check(replay: Replay) -> Iterator[Expected]:
    """Note what differs; yields the dead letters that conflicting returns must have led to."""
    for return_id, deliveries in replay.returns_by_id.items():
        kept = replay.winners.get(("T", return_id)) or _waiting(replay, return_id, deliveries)
        for each in deliveries:
            if replay.traces.may_count(each.position):
                yield from _one(replay, each, kept, deliveries)


def _waiting(
    replay: Replay, return_id: str, deliveries: Sequence[Delivery[Purchase]]
) -> Delivery[Purchase] | None:
    row = replay.traces.waiting.get(("T", return_id))
    if row is None or source_of(row) in replay.traces.expired:
        return None
    found = next((each for each in deliveries if each.position == source_of(row)), None)
    if found is None:
        replay.causes_missing = True
        replay.differs("waiting", f"return {return_id} was never given")
    elif replay.traces.still and _order_counted(replay, found.fact):
        replay.differs("waiting", f"return {return_id} still waits, and its order has counted")
    return found


def _one(
    replay: Replay,
    each: Delivery[Purchase],
    kept: Delivery[Purchase] | None,
    deliveries: Sequence[Delivery[Purchase]],
) -> Iterator[Expected]:
    """kept: the delivery of the same returnId that counted or waits."""
    conflicted = each.position in replay.traces.conflicted
    others = any(_says(other.fact) != _says(each.fact) for other in deliveries)
    hidden = replay.traces.may_be_hidden(each, deliveries)
    if kept is not None:
        if kept.fact.worth != each.fact.worth or (conflicted and others):
            yield Expected(each.source, _CONFLICT, each.due and not hidden)
        elif not replay.traces.still:  # what waited when its table was read may have conflicted since
            yield Expected(each.source, _CONFLICT, due=False)
    elif hidden:
        return
    elif others or not _fits(replay, each.fact):
        yield Expected(each.source, _CONFLICT, each.due)
    elif each.due:
        replay.differs("input", f"return {each.fact.id} at {each.position} neither counted nor waits")
    elif not replay.traces.still:  # it may count or conflict beyond what was read
        yield Expected(each.source, _CONFLICT, due=False)


def _fits(replay: Replay, back: Purchase) -> bool:
    """Whether nothing says that it conflicts: its order has not counted, or so much of it is left in the end."""
    return not _order_counted(replay, back) or (
        replay.customer is not None and replay.customer.can_take_back(back)
    )


def _order_counted(replay: Replay, back: Purchase) -> bool:
    return replay.customer is not None and back.order_id in replay.customer.history.orders


def _says(back: Purchase) -> tuple[str, int, str]:
    return back.order_id, back.amount, back.currency
