"""A short input that meets a long stored one is processed beside the event loop, once, and in its turn."""

import math
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, NamedTuple

import pytest

from agents import commands, email_claims, order_index
from agents.batch import Batch
from agents.parking import arrival
from tests.agents.owned import Owned
from tests.agents.readings import LONG_BYTES, Readings
from tests.agents.world import PARTITIONS, UNTIMED
from tests.simulation.traffic import Traffic
from tests.verify.observed import Observed
from worker.engine import aside, unit
from worker.engine.exits import ExitCode
from worker.engine.unit import InputRecord
from worker.observability.spans import End, Read
from worker.observability.tracing import TRACEPARENT
from worker.wire.claims import ClaimEmail

MONTH_S = 31 * 86_400.0
NOTE = "x" * LONG_BYTES
TRACE = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
Patch = pytest.MonkeyPatch
Way = Callable[[Owned, Patch], Awaitable[None]]


def unnamed(
    world: Owned, payment_id: str, amount: str = "10.00", note: str = "", partition: Any = None
) -> None:
    """Produce a payment of the order o1 that names no customer."""
    value = {
        "eventId": f"e-{payment_id}",
        "paymentId": payment_id,
        "orderId": "o1",
        "amount": {"amount": amount, "currency": "USD"},
        "occurredOn": "2026-11-01T12:00:00Z",
        "note": note,
    }
    world.produce(world.routing.payments, value, "o1", partition)


async def a_repeat_of_a_waiting_order(world: Owned, _: Patch) -> None:
    world.order("c1", "o1", "10.00", note=NOTE)
    await world.settle()
    world.order("c1", "o1", "10.00")
    world.order("c1", "o1", "11.00")
    world.order("c2", "o2", "12.00")


async def a_repeat_of_a_waiting_return(world: Owned, _: Patch) -> None:
    world.register("c1")
    world.returned("c1", "r1", "o1", "1.00", note=NOTE)
    await world.settle()
    world.order("c1", "o2", "10.00")
    world.returned("c1", "r1", "o1", "1.00")
    world.returned("c1", "r1", "o1", "2.00")


async def a_repeat_of_an_expired_order(world: Owned, _: Patch) -> None:
    world.order("c1", "o1", "10.00", note=NOTE)
    await world.settle()
    world.now += MONTH_S
    world.register("c1", email=world.email("ann", "c1", here=False))
    world.order("c1", "o1", "10.00")


async def a_repeat_that_queues(world: Owned, _: Patch) -> None:
    world.returned("c1", "r1", "o9", "1.00", note=NOTE)
    world.order("c1", "o1", "10.00", note=NOTE)
    await world.settle()
    world.register("c1", email=world.email("ann", "c1", here=True))
    world.returned("c1", "r1", "o9", "1.00")


async def a_repeat_of_a_payment_without_its_order(world: Owned, _: Patch) -> None:
    unnamed(world, "p1", note=NOTE)
    await world.settle()
    unnamed(world, "p1")
    unnamed(world, "p1", "11.00")


async def a_repeat_of_an_expired_payment(world: Owned, _: Patch) -> None:
    unnamed(world, "p1", note=NOTE)
    await world.settle()
    world.now += MONTH_S
    unnamed(world, "p1")


async def one_payment_too_many(world: Owned, _: Patch) -> None:
    unnamed(world, "p1", note=NOTE)
    await world.settle()  # so that it is the older one
    unnamed(world, "p2")
    await world.settle()
    world.now += MONTH_S
    unnamed(world, "p3")


async def a_repeat_of_a_payment_that_goes_on(world: Owned, _: Patch) -> None:
    home = world.routing.home
    customer_id = next(each for each in "abcdefgh" if home(each)[0] < home("o1")[0])
    world.register(customer_id)
    unnamed(world, "p1", note=NOTE)
    await world.settle()
    world.order(customer_id, "o1", "10.00")
    unnamed(world, "p1", partition=home(customer_id)[0])


async def a_claim_on_which_the_worker_fails(world: Owned, patch: Patch) -> None:
    decide = email_claims._decide

    def fail(batch: Batch, hashed: str, message: Any) -> bool:
        if isinstance(message, ClaimEmail):
            raise LookupError
        return decide(batch, hashed, message)

    patch.setattr(email_claims, "_decide", fail)
    world.register("c1", email=world.email("ann", "c1", here=False), note=NOTE)


async def an_answer_on_which_the_worker_fails(world: Owned, patch: Patch) -> None:
    def fail(*_: object) -> None:
        raise LookupError

    patch.setattr(commands, "_end_claim", fail)
    world.register("c1", email=world.email("ann", "c1", here=False), note=NOTE)


WAYS: dict[Way, list[str]] = {
    a_repeat_of_a_waiting_order: ["ORDER_CONFLICT"],
    a_repeat_of_a_waiting_return: ["RETURN_CONFLICT"],
    a_repeat_of_an_expired_order: ["WAITING_EXPIRED"],
    a_repeat_that_queues: [],
    a_repeat_of_a_payment_without_its_order: ["PAYMENT_CONFLICT"],
    a_repeat_of_an_expired_payment: ["WAITING_EXPIRED"],
    one_payment_too_many: ["WAITING_EXPIRED", "WAITING_EXPIRED"],
    a_repeat_of_a_payment_that_goes_on: [],
    a_claim_on_which_the_worker_fails: ["FAILED", "FAILED"],
    an_answer_on_which_the_worker_fails: ["FAILED", "FAILED"],
}
"""Each way, and the reasons of its dead letters."""

every_way = pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__.replace("_", " "))


class Spans:
    """The spans of the inputs. ended: topic, partition and offset of each input whose span was exported."""

    def __init__(self) -> None:
        self.ended = Counter[tuple[str, int, int]]()

    def begin(self, record: Read, parent: bytes) -> tuple[bytes, End]:
        def end() -> None:
            self.ended[record.topic, record.partition, record.offset] += 1

        return parent, end


def end_spans(batch: Batch) -> None:
    for end in batch.span_ends:
        end()


class Gone(NamedTuple):
    """What came of it when a short input met a long one."""

    world: Owned
    readings: Readings
    spans: Spans

    def outcome(self) -> object:
        """All that others can see of it."""
        routing = self.world.routing
        events = [event["id"] for event in self.world.published(routing.events)]
        return events, self.world.results(), self.spans.ended


async def gone(patch: Patch, way: Way, long_bytes: float = LONG_BYTES) -> Gone:
    """Let a short input meet a long one in this way."""
    patch.setattr(unit, "LONG_VALUE_BYTES", long_bytes)
    world, spans = Owned(patch, payment_join=True, bounds=UNTIMED._replace(waiting=2)), Spans()
    patch.setattr(world._process, "_begin_span", spans.begin)
    patch.setattr(world, "produce", partial(world.produce, headers=((TRACEPARENT, TRACE),)))
    world.committed = end_spans
    readings = Readings(patch)
    await way(world, patch)
    await world.settle()
    assert [reason for reason, _ in world.dead_letters()] == WAYS[way]
    assert Observed(world).differences() == []
    assert not world.stuck
    return Gone(world, readings, spans)


def on_each_check(patch: Patch, do: Callable[[unit.Unit, InputRecord], None]) -> None:
    for module in (commands, order_index, arrival):
        patch.setattr(module, "before_reading", do)


@every_way
async def test_the_long_one_never_holds_the_event_loop(monkeypatch: Patch, way: Way):
    readings = (await gone(monkeypatch, way)).readings
    assert readings.on_the_loop == 0
    assert readings.beside_it > 0


@every_way
async def test_control_without_the_check_it_does(monkeypatch: Patch, way: Way):
    on_each_check(monkeypatch, lambda *_: None)
    assert (await gone(monkeypatch, way)).readings.on_the_loop > 0


@every_way
async def test_the_outcome_is_that_of_the_event_loop_alone(monkeypatch: Patch, way: Way):
    with pytest.MonkeyPatch.context() as patch:
        alone = await gone(patch, way, math.inf)
    with_the_thread = await gone(monkeypatch, way)
    assert with_the_thread.outcome() == alone.outcome()


@pytest.mark.parametrize("way", [a_repeat_of_a_waiting_order, a_repeat_that_queues])
async def test_control_if_its_span_is_kept_it_has_two(monkeypatch: Patch, way: Way):
    with pytest.MonkeyPatch.context() as patch:
        alone = await gone(patch, way, math.inf)
    monkeypatch.setattr(Batch, "unfollow", lambda _: None)
    with_the_thread = await gone(monkeypatch, way)
    assert with_the_thread.spans.ended > alone.spans.ended


async def test_control_a_check_that_came_too_late_would_be_seen(monkeypatch: Patch):
    send = email_claims.send

    def send_later(batch: Batch, email: str, message: Any) -> bool | None:
        if not batch.unit.in_thread:
            raise aside.NeedsThread  # after the dead letter was made
        return send(batch, email, message)

    on_each_check(monkeypatch, lambda *_: None)
    monkeypatch.setattr(email_claims, "send", send_later)
    with pytest.raises(AssertionError, match="'FAILED', 'FAILED', 'FAILED'"):
        await gone(monkeypatch, a_claim_on_which_the_worker_fails)


@every_way
async def test_an_input_on_which_the_worker_failed_there_is_tried_there_again(monkeypatch: Patch, way: Way):
    failed: list[InputRecord] = []

    def fail_once(unit: unit.Unit, stored: InputRecord) -> None:
        aside.before_reading(unit, stored)
        if stored.is_long and not failed:
            failed.append(stored)
            raise LookupError

    on_each_check(monkeypatch, fail_once)
    world, readings, _ = await gone(monkeypatch, way)
    assert ExitCode.BATCH_FAILED in world.exits
    assert readings.on_the_loop == 0


async def mixed(patch: Patch, seed: int) -> tuple[Owned, int]:
    """A world of much traffic, in which every other input is long. Returns also how often a short one met a long one."""
    met = []

    def note(unit: unit.Unit, stored: InputRecord) -> None:
        met.append(stored.is_long and not unit.in_thread)
        aside.before_reading(unit, stored)

    on_each_check(patch, note)
    patch.setattr(InputRecord, "is_long", property(lambda record: record.offset % 2 == 0))
    world, traffic = Owned(patch, seed=seed, payment_join=True), Traffic(seed, 6, PARTITIONS, again=0.5)
    for part in [traffic.take(200), [*traffic.registrations(), *traffic.take(200)]]:
        for message in part:
            topic = f"{world.routing.prefix}{message.topic}"
            world.produce(topic, message.value, message.key, message.partition, message.headers)
        await world.settle()
    return world, sum(met)


@pytest.mark.parametrize("seed", range(3))
async def test_any_traffic_counts_once_if_every_other_input_is_long(monkeypatch: Patch, seed: int):
    world, met = await mixed(monkeypatch, seed)
    assert met > 5
    assert len(world.published(world.routing.events)) > 100
    assert Observed(world).differences() == []
    assert world.exits == []
