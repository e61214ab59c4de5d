"""Which timestamp counts, and how far ahead of it an input may say that it occurred (contract, section 1)."""

from datetime import UTC, datetime, timedelta

import pytest

from agents.processor import _stamped
from tests.agents.world import World
from worker.engine.unit import InputRecord
from worker.wire import inbox

AHEAD = timedelta(hours=48)


def _text(at: datetime) -> str:
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _now(world: World) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=int(world.now * 1000))


@pytest.mark.parametrize(("late_ms", "counts"), [(0, True), (1, False), (4_000 * 365 * 86_400_000, False)])
def test_an_order_is_at_most_48_hours_ahead_of_its_record(late_ms: int, counts: bool) -> None:
    world = World()
    world.register("c1")
    world.run()
    at = _text(_now(world) + AHEAD + timedelta(milliseconds=late_ms))
    world.order("c1", "o1", "10.00", on=at)
    world.run()
    assert (world.customer("c1").points == 1) == counts
    letters = [dict(record.headers) for _, record in world.dead_letters()]
    assert [(each["dlq-reason"], each["dlq-detail"]) for each in letters] == (
        [] if counts else [(b"INVALID", b"occurredOn: more than 48 hours after its record's timestamp")]
    )


def test_payments_and_returns_are_held_against_their_records_too() -> None:
    world = World()
    world.register("c1")
    world.order("c1", "o1", "10.00")
    world.run()
    at = _text(_now(world) + AHEAD + timedelta(seconds=1))
    world.payment("c1", "p1", "10.00", on=at)
    world.returned("c1", "r1", "o1", "1.00", on=at)
    world.run()
    assert [reason for reason, _ in world.dead_letters()] == ["INVALID", "INVALID"]


@pytest.mark.parametrize(
    ("timestamp", "said", "counts"),
    [
        (-1, None, 5_000),
        (4_000, None, 4_000),
        (4_000, b"3000", 3_000),
        (-1, b"3000", 3_000),
        (4_000, b"4001", 4_000),
        (-1, b"5001", 5_000),
        (4_000, b"-1", 4_000),
        (4_000, b"soon", 4_000),
        (4_000, "\u0663".encode(), 4_000),
        (4_000, b"", 4_000),
        (4_000, b"9" * 5_000, 4_000),
    ],
)
def test_the_first_records_timestamp_counts_and_now_where_there_is_none(
    timestamp: int, said: bytes | None, counts: int
) -> None:
    headers = () if said is None else ((inbox.SOURCE_TIMESTAMP, said),)
    record = InputRecord("order.completed", 0, 7, timestamp, b"k", b"v", headers)
    stamped = _stamped(record, 5_000)
    assert stamped.timestamp == counts
    assert (stamped.topic, stamped.offset, stamped.key, stamped.value) == ("order.completed", 7, b"k", b"v")
    assert stamped.headers == headers


def test_an_order_without_a_timestamp_waits_30_days_from_when_it_was_taken_in() -> None:
    world = World()
    world.order("c1", "o1", "10.00")
    (record,) = world.records(world.routing.orders)
    world.logs[record.topic, record.partition][-1] = type(record)(
        record.topic, record.partition, record.offset, -1, record.key, record.value, record.headers
    )
    world.run()
    assert world.dead_letters() == []
    world.now += 29.9 * 86_400
    world.sweep()
    assert world.dead_letters() == []
    world.now += 0.2 * 86_400
    world.sweep()
    assert [reason for reason, _ in world.dead_letters()] == ["WAITING_EXPIRED"]
