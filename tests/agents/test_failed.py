"""Inputs on which the worker itself failed: each is a dead letter of its first source, and nothing came of it."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from tests.agents.world import World
from tests.verify.observed import Observed
from worker.engine.unit import InputRecord


def failing(topic: str, payment_join: bool = False) -> World:
    """A world whose worker fails on every record of a topic that holds the word poison."""
    world = World(payment_join=payment_join)
    name = getattr(world.catalogue, topic).name
    world.fails = lambda record: record.topic == name and b"poison" in (record.value or b"")
    return world


def letters(world: World) -> list[tuple[str, bytes | None, bytes | None, bytes]]:
    """(reason, key, value, first source) of every dead letter."""
    return [
        (
            reason,
            each.key,
            each.value,
            b"%s-%s@%s" % tuple(dict(each.headers)[f"dlq-{part}"] for part in PLACE),
        )
        for reason, each in world.dead_letters()
    ]


PLACE = ("topic", "partition", "offset")


def source(record: InputRecord) -> bytes:
    return f"{record.topic}-{record.partition}@{record.offset}".encode()


def test_a_failed_order_is_a_dead_letter_with_its_detail_and_counts_for_nothing():
    world = failing("orders")
    world.register("c1")
    world.order("c1", "poison", "10.00")
    world.order("c1", "o1", "20.00")
    world.run()
    (order, _) = world.records(world.routing.orders)
    assert letters(world) == [("FAILED", b"c1", order.value, source(order))]
    ((_, letter),) = world.dead_letters()
    assert dict(letter.headers)["dlq-detail"] == b"3 failures alone: LookupError"
    assert world.customer("c1").points == 2
    assert Observed(world).differences() == []


@pytest.mark.parametrize("topic", ["orders", "returns", "payments", "commands", "inbox"])
def test_whatever_failed_the_verification_finds_no_difference(topic: str):
    world = failing(topic)
    world.register("c1")
    world.order("c1", "poison-o", "10.00")
    world.returned("c1", "poison-b", "poison-o", "5.00")
    world.payment("c1", "poison-p", "10.00")
    world.payment("c1", "poison-elsewhere", "10.00", key="another")
    world.command("UpdateProfile", "c1", "k1", {"name": "poison", "email": "c1@example.com", "phone": None})
    world.run()
    failed = [reason for reason, *_ in letters(world)]
    assert "FAILED" in failed
    assert Observed(world).differences() == []


def test_a_failed_input_that_was_forwarded_is_a_dead_letter_of_where_it_was_first():
    world = failing("inbox")
    world.register("c1")
    world.payment("c1", "poison", "10.00", key="another")
    world.run()
    (payment,) = world.records(world.routing.payments)
    assert letters(world) == [("FAILED", b"another", payment.value, source(payment))]


def test_a_failed_payment_of_an_order_is_a_dead_letter_of_where_it_was_first():
    world = failing("order_index", payment_join=True)
    world.register("c1")
    world.order("c1", "o1", "10.00")
    payment = world.payment_of_order("o1", "poison", "10.00")
    world.run()
    assert letters(world) == [("FAILED", b"o1", payment.value, source(payment))]
    assert Observed(world).differences() == []


def test_a_failed_message_of_our_own_is_a_dead_letter_of_its_own_place():
    world = failing("inbox")
    record = world.produce(world.routing.inbox, b"poison", "c1", headers=(("inbox-kind", b"forwarded"),))
    world.run()
    assert letters(world) == [("FAILED", b"c1", b"poison", source(record))]


def test_a_failed_command_has_no_result_and_may_be_sent_again():
    world = failing("commands")
    world.register("c1", name="poison")
    world.run()
    assert world.results() == []
    world.fails = lambda record: False
    ((_, letter),) = world.dead_letters()
    world.produce(world.routing.commands, letter.value, letter.key)
    world.run()
    assert [result["outcome"] for result in world.results()] == ["APPLIED"]


def test_one_whose_dead_letter_failed_too_carries_nothing_but_a_hash():
    world = failing("orders")
    world.bare = True
    world.register("c1")
    world.produce(world.routing.orders, b'{"orderId":"poison"}', "c1", headers=(("h", b"v"),))
    world.run()
    (order,) = world.records(world.routing.orders)
    hashed = sha256(order.value or b"").hexdigest().encode()
    assert letters(world) == [("FAILED", None, hashed, source(order))]
    ((_, letter),) = world.dead_letters()
    assert "h" not in dict(letter.headers)
    assert Observed(world).differences() == []


@pytest.mark.parametrize(
    "spoil",
    [
        lambda each: each._replace(value=b"another"),
        lambda each: each._replace(key=b"another"),
        lambda each: each._replace(headers=tuple(h for h in each.headers if h[0] != "dlq-reason")),
    ],
)
def test_the_verification_looks_at_such_a_letter(spoil: Callable[..., object]):
    world = failing("orders")
    world.register("c1")
    world.order("c1", "poison", "10.00")
    world.run()
    observed = Observed(world)
    (place,) = [place for place in observed.logs if place[0] == world.routing.dead_letters]
    observed.logs[place] = [spoil(each) for each in observed.logs[place]]  # type: ignore[misc]
    assert observed.differences()
