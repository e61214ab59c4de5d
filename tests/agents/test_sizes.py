"""What goes out fits, with Kafka's default limit of 1 MiB as with ours: dead letters, the inbox, the order index, what waits.

An input may be larger than the topic that it came from takes, because it was compressed there.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from agents import forwarding, letters
from agents.parking import arrival
from tables.waiting import WAITING
from tests.agents.world import World
from tests.verify.observed import Observed
from worker.engine.unit import Unit, other_bytes
from worker.wire.limits import MAX_OTHER_BYTES, MAX_RECORD_BYTES, MAX_VALUE_BYTES

KAFKAS_DEFAULT = 1_048_588
"""Of max.message.bytes: of a record batch with its overhead, as it lies on the disk."""

AROUND = (*range(-420, 20, 40), *range(-4, 3))
ROUTES = {
    "a dead letter": {"totalAmount": {"amount": "1", "currency": "none"}},
    "the inbox": {},
    "what waits": {},
}
OTHERS: dict[str, Callable[[int], tuple[tuple[str, bytes | None], ...]]] = {
    "a header's value": lambda size: (("h", b"v" * size),),
    "a header's name": lambda size: (("n" * size, None),),
    "many headers": lambda size: tuple(("h", b"v") for _ in range(size // 2)),
}


def batch_bytes(key: bytes | None, value: bytes | None, headers: Any) -> int:
    """What a broker compares with its limit: a batch with this record alone, as aiokafka writes it."""
    builder = DefaultRecordBatchBuilder(
        magic=2,
        compression_type=0,
        is_transactional=True,
        producer_id=1 << 40,
        producer_epoch=1 << 14,
        base_sequence=1 << 30,
        batch_size=16 << 20,
    )
    assert builder.append(0, timestamp=1 << 40, key=key, value=value, headers=list(headers))
    return len(builder.build())


def an_order(size: int, change: dict[str, Any]) -> bytes:
    """The value of an order, of so many bytes."""
    body = {
        "eventId": "e",
        "orderId": "o",
        "customerId": "c1",
        "totalAmount": {"amount": "1.00", "currency": "USD"},
        "occurredOn": "2026-11-01T12:00:00Z",
        "note": "",
    } | change
    body["note"] = "x" * (size - len(json.dumps(body)))
    return json.dumps(body).encode()


class Sizes(World):
    """A world whose topics take so much. largest: of the batches that go out, and of the rows that wait."""

    def __init__(self, limit: int) -> None:
        super().__init__()
        routing = self.routing
        routing.limits = dict.fromkeys((routing.dead_letters, routing.inbox, routing.waiting), limit)
        self.largest = 0

    def _commit(self, unit: Unit) -> None:
        for records in unit.outbox.values():
            for record in records:
                self._weigh(batch_bytes(record.key, record.value, record.headers))
        for key, value in unit.changes.get(WAITING, {}).items():
            self._weigh(batch_bytes(key, value, ()))
        super()._commit(unit)

    def _weigh(self, size: int) -> None:
        self.largest = max(self.largest, size)

    def take(self, route: str, value: bytes, headers: tuple[tuple[str, bytes | None], ...]) -> None:
        if route != "what waits":
            self.register("c1")
        key = "elsewhere" if route == "the inbox" else "c1"
        self.produce(self.routing.orders, value, key, headers=headers)
        self.run()


@pytest.mark.parametrize("limit", [KAFKAS_DEFAULT, MAX_RECORD_BYTES], ids=["1 MiB", "8 MiB"])
@pytest.mark.parametrize("route", ROUTES)
def test_a_large_value_fits_wherever_it_goes(route: str, limit: int):
    for around in AROUND if limit == KAFKAS_DEFAULT else AROUND[-3:]:
        sizes = Sizes(limit)
        size = min(MAX_VALUE_BYTES, KAFKAS_DEFAULT + around)
        sizes.take(route, an_order(size, ROUTES[route]), ())
        assert sizes.largest <= limit, around
        assert Observed(sizes).differences() == [], around
        if limit == MAX_RECORD_BYTES:
            assert sizes.largest > size  # nothing is withheld without need


@pytest.mark.parametrize("others", OTHERS.values(), ids=OTHERS.keys())
@pytest.mark.parametrize("route", ROUTES)
def test_key_and_headers_at_their_limit_fit_beside_a_value_at_its_own(
    route: str, others: Callable[[int], Any]
):
    most = MAX_OTHER_BYTES - len(b"elsewhere")
    for headers in (others(most - 1), others(most - 1_000)):
        sizes = Sizes(KAFKAS_DEFAULT)
        assert other_bytes(b"elsewhere", headers) <= MAX_OTHER_BYTES
        sizes.take(route, an_order(MAX_VALUE_BYTES, ROUTES[route]), headers)
        assert 0 < sizes.largest <= KAFKAS_DEFAULT
        assert Observed(sizes).differences() == []


@pytest.mark.parametrize("route", ROUTES)
def test_control_without_the_look_at_the_limit_it_would_not_fit(monkeypatch: pytest.MonkeyPatch, route: str):
    monkeypatch.setattr(letters, "sent_bytes", lambda *_: 0)
    monkeypatch.setattr(forwarding, "sent_bytes", lambda *_: 0)
    monkeypatch.setattr(arrival, "sent_bytes", lambda *_: 0)
    sizes = Sizes(KAFKAS_DEFAULT)
    sizes.take(route, an_order(MAX_VALUE_BYTES, ROUTES[route]), ())
    assert sizes.largest > KAFKAS_DEFAULT
