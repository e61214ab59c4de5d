"""Checks inputs that waited for a customer when a month passed (Sent.age). They count as never seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from tests.simulation.sent import Delivery, Sent

if TYPE_CHECKING:
    from tests.simulation.check import Seen

EXPIRED = "WAITING_EXPIRED"


def unexpired(seen: Seen, sent: Sent) -> Sent:
    """The messages sent, without those that expired."""
    gone = _waited(seen, sent)
    if not gone:
        return sent
    purchases = {
        key: deliveries[len(gone.get(key, ())) :]  # later deliveries follow the expired ones
        for key, deliveries in sent.purchases.items()
    }
    return replace(sent, purchases={key: left for key, left in purchases.items() if left})


def left_of(seen: Seen, sent: Sent) -> Iterable[str]:
    """Yield results from before that month that are still remembered."""
    for (name, command_id), remembered in seen.remembered.items():
        if remembered.at <= sent.registered_by * 1000:
            yield f"the result of {command_id} of {name} was not forgotten"


def letters(
    seen: Seen, sent: Sent, got: Mapping[tuple[str, str], int], conflicts: Mapping[str, str]
) -> Counter[tuple[str, str]]:
    """The dead letters of expired inputs and of those in conflict with them.

    One delivery of each order and payment waited; the dead letter tells which one. Deliveries with another amount
    conflict with it. conflicts: kind -> reason.
    """
    wanted: Counter[tuple[str, str]] = Counter()
    for (kind, *_), deliveries in _waited(seen, sent).items():
        waited = next((each for each in deliveries if got[EXPIRED, each.digest]), deliveries[0])
        wanted[EXPIRED, waited.digest] += 1
        for each in deliveries:
            if each[:2] != waited[:2]:
                wanted[conflicts[kind], each.digest] += 1
    return wanted


def _waited(seen: Seen, sent: Sent) -> dict[tuple[str, str, str], list[Delivery]]:
    """The inputs sent before the month passed to customers who were not registered by then."""
    registered = {
        event["subject"]
        for event in seen.events
        if event["type"] == "CustomerCreatedEvent"
        and datetime.fromisoformat(event["time"]).timestamp() <= sent.registered_by
    }
    return {key: deliveries for key, deliveries in sent.aged.items() if key[1] not in registered}
