"""Inputs that waited too long for their customer, or returns for their order (contract, section 6, unknown customer).

The time of expiry depends on a worker's clock, which may be a day off. So the dead letters are trusted, as far as some
certain facts allow. Kafka stamps dead letters and events; the sender stamps the input.
- An input cannot expire before it has waited 30 days.
- Only a return can expire after its customer was registered.
- An expired input does not wait any more and does not count. It counts as never seen.
- While the input waited, another delivery with its id was a repeat or, with another amount, a conflict. The logs do not
  tell which deliveries came in time for that. So both outcomes are allowed for them.
Not checked: whether a waiting input should have expired. Perhaps no worker has run since.
"""

from collections.abc import Iterator, Sequence

from worker.verify.checks.account import Account
from worker.verify.checks.traces import CREATED, source_of
from worker.verify.reading.deliveries import Delivery, Expected
from worker.verify.reading.inputs import Purchase
from worker.verify.reading.text import DAY_MS

WAITING_MS = 30 * DAY_MS
CLOCK_OFF_MS = DAY_MS


def check(account: Account) -> Iterator[Expected]:
    """Report differences, and yield the dead letters of expired inputs."""
    traces = account.traces
    for each in account.told.purchases:
        if each.position in traces.expired:
            _check_one(account, each, traces.expired[each.position])
            yield Expected(each.source, frozenset(("WAITING_EXPIRED",)), each.due)
    if not traces.still:
        return
    for (_, waiting_id), row in traces.waiting.items():
        if source_of(row) in traces.expired:
            account.differs("waiting", f"{waiting_id} at {source_of(row)} expired, and waits all the same")
    stamps = [int(row.get("timestamp", 0)) for (kind, _), row in traces.waiting.items() if kind != "C"]
    since = traces.row.get("waiting_since")
    if since is not None and since > min(stamps, default=-1):
        account.differs("customers table", "waiting_since")


def hiding(
    account: Account, each: Delivery[Purchase], all_of_it: Sequence[Delivery[Purchase]]
) -> list[Delivery[Purchase]]:
    """The expired deliveries of the same input that may have been waiting when this delivery came.

    Args:
        account: the customer.
        each: this delivery.
        all_of_it: all deliveries of the input.
    """
    expired = account.traces.expired
    return [
        other
        for other in all_of_it
        if other.position in expired and each.source.timestamp <= expired[other.position] + CLOCK_OFF_MS
    ]


def _check_one(account: Account, each: Delivery[Purchase], written_at: int) -> None:
    """Check the time of one expiry. written_at: time of the dead letter, in ms since 1970 UTC."""
    where = f"{each.fact.id} at {each.position}"
    if written_at + CLOCK_OFF_MS < each.source.timestamp + WAITING_MS:
        account.differs("waiting", f"{where} expired before its time")
    registered_at = next(
        (event.record.timestamp for event in account.traces.events if event.type == CREATED), None
    )
    waits_for_its_order = each in account.told.returns
    if not waits_for_its_order and registered_at is not None and written_at > registered_at + CLOCK_OFF_MS:
        account.differs("waiting", f"{where} expired after its customer was registered")
