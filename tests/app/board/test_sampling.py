"""Boards: made once a second for all, with bounded buffers, of ids and figures alone."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.api.letters import counts
from worker.app.board.sampling import Boards
from worker.board import POINTS, Board, CustomerCounts, InputLag, PublishedEvent
from worker.engine.unit import InputRecord, Outgoing
from worker.gateway import Readiness
from worker.membership import Member
from worker.observability import metrics

ME = Member("http://one:6066", "0.4.0", "abc", "", payment_join=False, rules={})
OTHER = Member("http://two:6066", "0.3.0", "def", "", payment_join=False, rules={})


class Source:
    """The state of a worker that holds partition 0 and copies partition 1."""

    def __init__(self) -> None:
        self.group: Sequence[Member] = (OTHER, ME)

    def lags(self) -> Mapping[tuple[str, int], int]:
        return {("order.completed", 0): 4, ("customer.commands", 0): 1}

    def readiness(self) -> Readiness:
        return Readiness(False, ("Kafka has not answered for 11 s",))

    def held_partitions(self) -> frozenset[int]:
        return frozenset({0})

    def copied_partitions(self) -> frozenset[int]:
        return frozenset({1})

    def owner_url(self, partition: int) -> str | None:
        return (ME.url, OTHER.url, None)[partition]

    def members(self) -> Sequence[Member]:
        return self.group

    def customer_counts(self) -> CustomerCounts:
        return counts(7)


class Time:
    """A clock that goes on when told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def boards(source: Source | None = None, **more: Any) -> tuple[Boards, Time]:
    time = Time()
    return Boards(ME, 3, source or Source(), time, time, **more), time


def event(number: int) -> Outgoing:
    value = {
        "type": "CustomerCreatedEvent",
        "subject": f"c{number}",
        "time": "2026-11-24T10:15:30.123Z",
        "data": {"customerName": "Ann Lee", "email": "ann@example.com"},
    }
    return Outgoing(f"c{number}".encode(), json.dumps(value).encode(), [])


def work(inputs: int) -> None:
    """Counts a batch, as the worker does."""
    records = [InputRecord("order.completed", 0, n, 0, b"c", b"{}", ()) for n in range(inputs)]
    metrics.EngineMetrics().committed(records, {"order.completed"}, 0.001)


def test_rates_are_those_of_the_last_five_seconds():
    made, time = boards()
    for second in range(10):
        work(100 if second < 5 else 10)
        time.now += 1
        made.sample()
    assert made.latest().now.inputs_per_s == 10
    assert [point.inputs_per_s for point in made.latest().points] == [100, 10]
    assert [point.at for point in made.latest().points] == [1_005_000, 1_010_000]


def test_the_chart_is_bounded_to_its_15_minutes():
    made, time = boards()
    for _ in range(POINTS * 5 + 60):
        time.now += 1
        made.sample()
    points = made.latest().points
    assert len(points) == POINTS
    assert points[-1].at - points[0].at == (POINTS - 1) * 5_000


def test_a_clock_that_is_set_back_makes_no_wrong_rate():
    made, time = boards()
    made._clock = lambda: 1.0
    work(5)
    time.now += 1
    assert made.sample().now.inputs_per_s == 5


def test_the_last_events_are_the_latest_first_with_ids_and_types_only():
    made, _ = boards()
    made.published([event(n) for n in range(100)])
    first = made.sample()
    assert first.last_events[0] == PublishedEvent("CustomerCreatedEvent", "c99", "2026-11-24T10:15:30.123Z")
    assert [each.customer_id for each in first.last_events] == [f"c{n}" for n in range(99, 79, -1)]
    made.published([event(100)])
    assert [each.customer_id for each in made.sample().last_events] == [f"c{n}" for n in range(100, 80, -1)]
    assert b"Ann" not in msgspec.json.encode(made.latest())
    assert not made._fresh  # nothing holds the data of an event any longer


def test_a_board_says_what_is_where_and_what_it_cannot_see():
    made, _ = boards()
    board = made.sample()
    assert board.lags == (InputLag("customer.commands", 0, 1), InputLag("order.completed", 0, 4))
    assert board.now.lag == 5
    assert (board.ready, board.reasons) == (False, ("Kafka has not answered for 11 s",))
    assert (board.held, board.copied) == ((0,), (1,))
    assert [place.owner_url for place in board.partitions] == [ME.url, OTHER.url, None]
    assert [member.release for member in board.members] == ["0.4.0", "0.3.0"]
    assert board.customers.total == 7
    assert len(board.unseen) == 3


def test_a_worker_alone_sees_everything():
    source = Source()
    source.group = (ME,)
    assert boards(source)[0].sample().unseen == ()


async def test_all_viewers_get_the_same_board_and_one_who_leaves_disturbs_nobody():
    made, _ = boards()
    waiting = [asyncio.create_task(made.changed()) for _ in range(10)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    board = made.sample()
    assert await asyncio.gather(*waiting[1:]) == [board] * 9
    assert made.latest() is board


async def test_the_wait_ends_with_the_worker():
    made, _ = boards(every_s=60.0)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(made.changed())
    await asyncio.sleep(0)
    running.cancel()
    assert await waiting is None
    assert await made.changed() is None
    assert isinstance(made.latest(), Board)
