"""What waited too long for its customer, or a return for its order (CONTRACT section 6, unknown customer), and what follows for everything else.

When an input expires depends on a worker's clock, so the dead letters are taken at their word, and held against what
is certain. Kafka stamps them and the events, the sender stamped the input; a worker's clock may be a day off:
- An input cannot have expired before its 30 days were over, nor, but for a return, after its customer was registered.
- It does not wait any more, and it does not count: it has not been seen.
- While it waited it hid others with its id: those with the same amount were repeats of it, the others conflicts with it.
  Which came in time for that cannot be told, so what they led to is allowed either way.
Not judged: whether what still waits should have expired, for no worker may have run since.
"""

from collections.abc import Iterator, Sequence

from worker.verify.deliveries import Delivery, Expected
from worker.verify.inputs import Purchase
from worker.verify.replay import Replay
from worker.verify.text import DAY_MS
from worker.verify.traces import CREATED, source_of

WAITING_MS = 30 * DAY_MS
CLOCK_OFF_MS = DAY_MS


def check(replay: Replay) -> Iterator[Expected]:
    """Note what differs; yields the dead letters of what expired."""
    traces = replay.traces
    for each in replay.told.purchases:
        if each.position in traces.expired:
            _check_one(replay, each, traces.expired[each.position])
            yield Expected(each.source, frozenset(("WAITING_EXPIRED",)), each.due)
    if not traces.still:
        return
    for (_, waiting_id), row in traces.waiting.items():
        if source_of(row) in traces.expired:
            replay.differs("waiting", f"{waiting_id} at {source_of(row)} expired, and waits all the same")
    stamps = [int(row.get("timestamp", 0)) for (kind, _), row in traces.waiting.items() if kind != "C"]
    since = traces.row.get("waiting_since")
    if since is not None and since > min(stamps, default=-1):
        replay.differs("customers table", "waiting_since")


def hiding(
    replay: Replay, each: Delivery[Purchase], all_of_it: Sequence[Delivery[Purchase]]
) -> list[Delivery[Purchase]]:
    """Those of its deliveries that expired, and that may have waited when this one came."""
    expired = replay.traces.expired
    return [
        other
        for other in all_of_it
        if other.position in expired and each.source.timestamp <= expired[other.position] + CLOCK_OFF_MS
    ]


def _check_one(replay: Replay, each: Delivery[Purchase], written_at: int) -> None:
    """written_at: of the dead letter, ms since 1970 UTC."""
    where = f"{each.fact.id} at {each.position}"
    if written_at + CLOCK_OFF_MS < each.source.timestamp + WAITING_MS:
        replay.differs("waiting", f"{where} expired before its time")
    registered_at = next(
        (event.record.timestamp for event in replay.traces.events if event.type == CREATED), None
    )
    waits_for_its_order = each in replay.told.returns
    if not waits_for_its_order and registered_at is not None and written_at > registered_at + CLOCK_OFF_MS:
        replay.differs("waiting", f"{where} expired after its customer was registered")
