"""Orders that are read together do what they do one by one: the same records, the same rows, in the same order."""

from collections.abc import Sequence

import pytest

from agents import read_ahead
from tests.agents.world import PARTITIONS, World
from tests.simulation.traffic import Traffic
from worker.domain.messages import OrderCompleted
from worker.engine.unit import Table, Unit
from worker.wire.inputs import decode_orders

_SEEDS = range(5)


class Reads:
    """Counts the orders that were read together."""

    def __init__(self) -> None:
        self.together = 0

    def __call__(self, values: Sequence[bytes]) -> list[OrderCompleted | None]:
        found = decode_orders(values)
        self.together += sum(order is not None for order in found)
        return found


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Reads:
    counting = Reads()
    monkeypatch.setattr(read_ahead, "decode_orders", counting)
    return counting


def _played(seed: int, slice_records: int) -> World:
    """A world after the seed's traffic. The turns and the sizes of its batches depend on the seed alone."""
    world = World(seed)
    world.slice_records = slice_records
    traffic = Traffic(seed, 6, PARTITIONS, again=0.2)
    for message in [*traffic.registrations(), *traffic.take(400)]:
        topic = f"{world.routing.prefix}{message.topic}"
        world.produce(topic, message.value, message.key, message.partition, message.headers)
    return world.run()


@pytest.mark.parametrize("seed", _SEEDS)
def test_orders_read_together_do_what_they_do_one_by_one(seed: int, reads: Reads):
    singly = _played(seed, 1)
    assert reads.together == 0
    together = _played(seed, 250)
    assert reads.together > 10
    assert together.logs == singly.logs
    for one, other in zip(together.stores, singly.stores, strict=True):
        assert one._tables == other._tables


def test_control_a_row_read_ahead_that_hides_a_change_of_the_batch_counts_twice(
    monkeypatch: pytest.MonkeyPatch,
):
    changed_first = Unit.get

    def ahead_first(unit: Unit, table: Table, key: bytes) -> bytes | None:
        ahead = unit._ahead.get(table, {})
        return ahead[key] if key in ahead else changed_first(unit, table, key)

    monkeypatch.setattr(Unit, "get", ahead_first)
    assert any(_played(seed, 250).logs != _played(seed, 1).logs for seed in _SEEDS)
