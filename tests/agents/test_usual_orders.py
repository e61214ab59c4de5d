"""The short way of a usual order leads where the long way leads: the same rows, the same records, in the same order."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from agents import usual_orders
from agents.batch import Batch
from agents.processor import Processor
from agents.routing import Routing
from tables.customers import CUSTOMERS, CustomerRows
from tests.native.libraries import library, using
from worker.domain.rules import DEFAULT_RULES, RuleBook
from worker.domain.state import Customer, CustomerRow
from worker.engine.store import MemoryStore
from worker.engine.unit import InputRecord, Table, Unit
from worker.kafka.topics import Catalogue

_ROUTING = Routing(Catalogue(partitions=1), 1)
_CUSTOMERS = [f"c{n}" for n in range(4)]
_BATCH, _BATCHES = 40, 12
_SEEDS = range(4)  # the first has one currency
_NOW_MS = 1_795_515_330_000
_TRACE = (("traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),)

Did = list[tuple[Any, ...]]
"""The rows, the rows of indexes and the records of each batch."""


class Counting:
    """Counts which orders took the short way."""

    def __init__(self) -> None:
        self.taken: list[bool] = []
        self._take = usual_orders.take

    def __call__(self, *arguments: Any) -> bool:
        self.taken.append(self._take(*arguments))
        return self.taken[-1]


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    found = Counting()
    monkeypatch.setattr(usual_orders, "take", found)
    return found


def time_of(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def registered() -> MemoryStore:
    store = MemoryStore()
    unit = Unit(0, store)
    rows = CustomerRows(unit)
    for name in _CUSTOMERS:
        customer = Customer(
            id=name, name="Ada", email=f"{name}@example.com", version=1, sequence=1, tracked=True
        )
        rows.changed(name, CustomerRow(customer=customer, email_claim=name))
    rows.flush()
    store.write({CUSTOMERS.mark: unit.changes[CUSTOMERS]}, {})
    return store


def records(seed: int) -> Iterator[InputRecord]:
    """Orders, mostly usual ones: one after the other, of registered customers, in one currency."""
    rng = random.Random(seed)
    for offset in range(_BATCH * _BATCHES):
        odd = rng.random() < 0.2
        at = (
            _NOW_MS
            - (_BATCH * _BATCHES - offset) * 20_000_000
            - odd * rng.choice([0, 10**9, 10**11, -(10**12)])
        )
        customer = rng.choice([*_CUSTOMERS, "nobody"]) if odd else rng.choice(_CUSTOMERS)
        order = {
            "eventId": f"e{offset}",
            "orderId": f"o{offset - (rng.choice([0, 1, 9]) if odd else 0)}",
            "customerId": customer,
            "totalAmount": {
                "amount": f"{rng.randrange(300)}.00",
                "currency": rng.choice(["USD", "USD", "EUR"]) if odd and seed else "USD",
            },
            "occurredOn": rng.choice([time_of(at), time_of(at // 86_400_000 * 86_400_000)]),
        } | ({"correlationId": "k"} if rng.random() < 0.5 else {})
        key = rng.choice([customer.encode(), b"another", None]) if odd else customer.encode()
        headers = _TRACE if odd and rng.random() < 0.3 else ()
        found = InputRecord(_ROUTING.orders, 0, offset, _NOW_MS, key, json.dumps(order).encode(), headers)
        yield found
        if rng.random() < 0.1:
            yield found


def play(seed: int) -> Did:
    """Process all orders in batches, and commit each to the store. Returns what each batch did."""
    store, carried, did = registered(), dict[str, Any](), []
    process = Processor(_ROUTING, RuleBook((DEFAULT_RULES,)), lambda *_: None, clock=lambda: _NOW_MS / 1_000)
    log = list(records(seed))
    for start in range(0, len(log), _BATCH):
        unit = Unit(0, store, carried)
        work = process(unit)
        assert work.take(log[start : start + _BATCH]) > 0
        work.finish()
        did.append((unit.changes, unit.derived, unit.outbox, unit.size()))
        store.write(unit.rows_to_write(), {})
    return did


def the_long_way(seed: int) -> Did:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(usual_orders, "take", lambda *_: False)
        return play(seed)


@pytest.mark.parametrize("in_c", [False, True], ids=["Python", "C"])
@pytest.mark.parametrize("seed", _SEEDS)
def test_both_ways_lead_to_the_same(in_c: bool, seed: int, counting: Counting):
    with using(library() if in_c else None):
        assert play(seed) == the_long_way(seed)
    assert counting.taken.count(True) > (100 if seed == 0 else 10)
    assert counting.taken.count(False) > 10


def test_control_an_order_that_counts_twice_is_seen(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(usual_orders, "LEDGER", Table("it has no line", b"?"))
    assert any(play(seed) != the_long_way(seed) for seed in _SEEDS)


def test_control_an_event_that_is_missing_is_seen(monkeypatch: pytest.MonkeyPatch):
    publish = Batch.publish_usual

    def without_the_last(batch: Batch, *arguments: Any) -> None:
        publish(batch, *arguments)
        batch._events.pop()

    monkeypatch.setattr(Batch, "publish_usual", without_the_last)
    assert any(play(seed) != the_long_way(seed) for seed in _SEEDS)
